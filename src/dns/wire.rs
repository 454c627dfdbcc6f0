//! Between packets and questions: what is not a question is sent back or thrown away before much is read, and answers
//! are cut to what the asker can take.

use crate::answer::Answer;
use hickory_proto::ProtoError;
use hickory_proto::op::{
    Edns, Header, Message, MessageType, OpCode, Query, ResponseCode, emit_message_parts,
};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::{DNSClass, RecordType};
use hickory_proto::serialize::binary::BinEncoder;
use std::net::IpAddr;

/// A UDP answer is never larger, whatever the asker says that it takes: larger ones are lost on their way too often
/// (the DNS flag day of 2020). The rest is asked for again over TCP.
pub const UDP_BYTES_MAX: u16 = 1232;
/// What a UDP asker takes that says nothing about it (RFC 1035).
const UDP_BYTES_DEFAULT: u16 = 512;
/// Questions that claim to hold more records than this beside the question itself are malformed.
const EXTRA_RECORDS_MAX: u16 = 4;
/// The EDNS option in which our own questions carry who asks. From the range for local use (RFC 6891).
const MARK: u16 = 65_313;
const HEADER_BYTES: usize = 12;
/// An OPT record without options.
const OPT_BYTES: u16 = 11;
/// The TC bit, in the third byte.
const TRUNCATED: u8 = 0x02;

/// A question as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// The asker's number for it.
    pub id: u16,
    /// The question.
    pub question: Query,
    /// Whether others may be asked.
    pub recursion: bool,
    /// Whether answers that cannot be verified are welcome.
    pub unchecked: bool,
    /// What the asker said about itself.
    pub edns: Option<Edns>,
}

/// Which way a question came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One packet.
    Udp,
    /// A stream.
    Tcp,
}

/// What is done with a packet that is no question for us.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// Nothing: answering it could start a loop.
    Dropped,
    /// It is answered with this code.
    Code(ResponseCode, Vec<u8>),
}

impl Request {
    /// Reads a packet.
    pub fn read(packet: &[u8]) -> Result<Request, Refused> {
        let Some(header) = packet.first_chunk::<HEADER_BYTES>() else { return Err(Refused::Dropped) };
        let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        if header[2] & 0x80 != 0 {
            return Err(Refused::Dropped);
        }
        let refused = |code| Err(Refused::Code(code, bare(header, code)));
        if (header[2] >> 3) & 0xf != 0 {
            return refused(ResponseCode::NotImp);
        }
        // Looked at before anything is read, since a decoder makes room for as many as are announced.
        if word(4) != 1 || word(6) != 0 || word(8) != 0 || word(10) > EXTRA_RECORDS_MAX {
            return refused(ResponseCode::FormErr);
        }
        let Ok(mut message) = Message::from_vec(packet) else { return refused(ResponseCode::FormErr) };
        let Some(question) = message.queries.pop() else { return refused(ResponseCode::FormErr) };
        let metadata = message.metadata;
        Ok(Request {
            id: metadata.id,
            question,
            recursion: metadata.recursion_desired,
            unchecked: metadata.checking_disabled,
            edns: message.edns,
        })
    }

    /// The code for questions that we do not answer whatever they ask.
    pub fn refusal(&self) -> Option<ResponseCode> {
        if self.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
            return Some(ResponseCode::BADVERS);
        }
        let classes = [DNSClass::IN, DNSClass::ANY];
        if !classes.contains(&self.question.query_class) {
            return Some(ResponseCode::Refused);
        }
        match self.question.query_type {
            RecordType::AXFR | RecordType::IXFR => Some(ResponseCode::Refused),
            RecordType::OPT | RecordType::TSIG => Some(ResponseCode::FormErr),
            _ => None,
        }
    }

    /// Whether this is a question that went out with this mark.
    pub fn is_marked(&self, mark: &[u8]) -> bool {
        let option = self.edns.as_ref().and_then(|edns| edns.option(EdnsCode::Unknown(MARK)));
        matches!(option, Some(EdnsOption::Unknown(_, found)) if found == mark)
    }

    /// Whether signatures are asked for.
    pub fn wants_signatures(&self) -> bool {
        self.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok)
    }

    /// How many bytes an answer may have.
    fn limit(&self, transport: Transport) -> u16 {
        match (transport, &self.edns) {
            (Transport::Tcp, _) => u16::MAX,
            (Transport::Udp, None) => UDP_BYTES_DEFAULT,
            (Transport::Udp, Some(edns)) => edns.max_payload().clamp(UDP_BYTES_DEFAULT, UDP_BYTES_MAX),
        }
    }

    /// The packet that says this. What does not fit is left out, and the asker told if it was an answer.
    pub fn reply(&self, answer: Answer, transport: Transport) -> Vec<u8> {
        let mut message = Message::response(self.id, OpCode::Query);
        message.metadata.response_code = answer.code;
        message.metadata.authoritative = answer.authoritative;
        message.metadata.authentic_data = answer.authentic;
        message.metadata.recursion_desired = self.recursion;
        message.metadata.recursion_available = true;
        message.metadata.checking_disabled = self.unchecked;
        message.queries.push(self.question.clone());
        message.answers = answer.answers;
        message.authorities = answer.authorities;
        message.additionals = answer.additionals;
        let signatures = self.edns.as_ref().map(|asker| asker.flags().dnssec_ok);
        fitted(&message, signatures, self.limit(transport)).unwrap_or_else(|_| {
            let mut header = [0; HEADER_BYTES];
            header[..2].copy_from_slice(&self.id.to_be_bytes());
            bare(&header, ResponseCode::ServFail)
        })
    }
}

/// Encodes as much of a message as fits, in order. The asker is told when answers were left out. `signatures`: whether
/// the asker wants them, if it speaks EDNS at all; then it is told what we take.
fn fitted(message: &Message, signatures: Option<bool>, limit: u16) -> Result<Vec<u8>, ProtoError> {
    let mut packet = Vec::with_capacity(512);
    let mut encoder = BinEncoder::new(&mut packet);
    let room = if signatures.is_some() { OPT_BYTES } else { 0 };
    encoder.set_max_size(limit - room);
    let Header { counts, .. } = emit_message_parts(
        &message.metadata,
        &mut message.queries.iter(),
        &mut message.answers.iter(),
        &mut message.authorities.iter(),
        &mut message.additionals.iter(),
        None,
        None,
        &mut encoder,
    )?;
    // Away with the part of the record that did not fit.
    encoder.trim();
    let whole = usize::from(counts.answers) == message.answers.len()
        && usize::from(counts.authorities) == message.authorities.len();
    if whole {
        packet[2] &= !TRUNCATED;
    }
    if let Some(signatures) = signatures {
        let [high, low] = UDP_BYTES_MAX.to_be_bytes();
        let code = message.metadata.response_code.high();
        packet.extend([0, 0, 41, high, low, code, 0, u8::from(signatures) << 7, 0, 0, 0]);
        packet[10..12].copy_from_slice(&(counts.additionals + 1).to_be_bytes());
    }
    Ok(packet)
}

/// A header alone.
fn bare(asked: &[u8; HEADER_BYTES], code: ResponseCode) -> Vec<u8> {
    let mut header = [0; HEADER_BYTES];
    header[..2].copy_from_slice(&asked[..2]);
    header[2] = 0x80 | (asked[2] & 0x79);
    header[3] = 0x80 | code.low();
    header.to_vec()
}

/// A question to another resolver. `mark` tells us our own questions, should they come back to us; without it the
/// question is of the oldest form, for resolvers that do not understand more.
pub fn query(id: u16, question: &Query, flags: Flags, mark: Option<&[u8]>) -> Result<Vec<u8>, ProtoError> {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.metadata.checking_disabled = flags.unchecked;
    message.queries.push(question.clone());
    if let Some(mark) = mark {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_BYTES_MAX);
        edns.set_dnssec_ok(flags.signatures);
        edns.options_mut().insert(EdnsOption::Unknown(MARK, mark.to_vec()));
        message.edns = Some(edns);
    }
    message.to_vec()
}

/// What of a question's flags changes its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags {
    /// DO.
    pub signatures: bool,
    /// CD.
    pub unchecked: bool,
}

/// The address by which a client is counted: one client may have a whole IPv6 network of 64 bits.
pub fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
        v4 => v4,
    }
}
