//! What is said to a question, before it becomes bytes.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{Name, RData, Record};
use std::net::IpAddr;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// How it went.
    pub code: ResponseCode,
    /// Whether this server is the one that knows.
    pub authoritative: bool,
    /// Whether the resolver that was asked has verified it.
    pub authentic: bool,
    /// What was asked for.
    pub answers: Vec<Record>,
    /// Who says that there is no more.
    pub authorities: Vec<Record>,
    /// What the asker will want to know next. May be left out.
    pub additionals: Vec<Record>,
    /// The name of which the asker wants to know the same, since the one that it named is only another name for it.
    pub chase: Option<Name>,
}

impl Answer {
    /// An answer with nothing in it.
    pub fn empty(code: ResponseCode) -> Answer {
        Answer {
            code,
            authoritative: false,
            authentic: false,
            answers: Vec::new(),
            authorities: Vec::new(),
            additionals: Vec::new(),
            chase: None,
        }
    }

    /// An answer of our own with these records.
    pub fn own(answers: Vec<Record>) -> Answer {
        Answer { authoritative: true, answers, ..Answer::empty(ResponseCode::NoError) }
    }
}

/// The data of an address record.
pub fn address(address: IpAddr) -> RData {
    match address {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    }
}
