//! Addresses and networks (k8s.io/apiserver/pkg/cel/library/{ip,cidr}.go).

use super::Run;
use super::strings::text;
use crate::eval::{Eval, failed, no_overload};
use crate::value::Value;
use ipnet::IpNet;
use regex::Regex;
use std::fmt;
use std::net::IpAddr;

type Args<'v, 'a> = &'v mut Vec<Value<'a>>;

/// An address with the length of its prefix; the address keeps its host part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr(IpNet);

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn read_ip(text: &str) -> Result<IpAddr, String> {
    let address: IpAddr = text.parse().map_err(|_| {
        format!("IP Address {text:?} parse error during conversion from string: ParseAddr({text:?}): unable to parse IP")
    })?;
    match address {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => {
            Err(format!("IPv4-mapped IPv6 address {text:?} is not allowed"))
        }
        address => Ok(address),
    }
}

fn read_cidr(text: &str) -> Result<Cidr, String> {
    let why = || {
        format!(
            "network address parse error during conversion from string: network address parse error during conversion from string: netip.ParsePrefix({text:?}): no '/'"
        )
    };
    text.parse().map(Cidr).map_err(|_| why())
}

pub fn ip<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    let Some(text) = text(args, 0) else { return no_overload() };
    read_ip(text).map_or_else(failed, |ip| Ok(Value::Ip(ip)))
}

pub fn is_ip<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    text(args, 0).map_or_else(no_overload, |text| Ok(Value::Bool(read_ip(text).is_ok())))
}

pub fn is_canonical<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    let Some(text) = text(args, 0) else { return no_overload() };
    read_ip(text).map_or_else(failed, |ip| Ok(Value::Bool(ip.to_string() == text)))
}

pub fn cidr<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    let Some(text) = text(args, 0) else { return no_overload() };
    read_cidr(text).map_or_else(failed, |cidr| Ok(Value::Cidr(cidr)))
}

pub fn is_cidr<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    text(args, 0).map_or_else(no_overload, |text| Ok(Value::Bool(read_cidr(text).is_ok())))
}

pub fn contains_ip<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    let Value::Cidr(Cidr(net)) = &args[0] else { return no_overload() };
    let ip = match &args[1] {
        Value::Ip(ip) => *ip,
        Value::String(text) => match read_ip(text) {
            Ok(ip) => ip,
            Err(why) => return failed(why),
        },
        _ => return no_overload(),
    };
    Ok(Value::Bool(net.contains(&ip)))
}

pub fn contains_cidr<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    let Value::Cidr(Cidr(net)) = &args[0] else { return no_overload() };
    let other = match &args[1] {
        Value::Cidr(other) => *other,
        Value::String(text) => match read_cidr(text) {
            Ok(other) => other,
            Err(why) => return failed(why),
        },
        _ => return no_overload(),
    };
    Ok(Value::Bool(net.trunc().contains(&other.0)))
}

pub fn cidr_ip<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    match &args[0] {
        Value::Cidr(Cidr(net)) => Ok(Value::Ip(net.addr())),
        _ => no_overload(),
    }
}

pub fn prefix_length<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    match &args[0] {
        Value::Cidr(Cidr(net)) => Ok(Value::Int(net.prefix_len().into())),
        _ => no_overload(),
    }
}

pub fn masked<'a>(args: Args<'_, 'a>, _: Option<&Regex>) -> Eval<'a> {
    match &args[0] {
        Value::Cidr(Cidr(net)) => Ok(Value::Cidr(Cidr(net.trunc()))),
        _ => no_overload(),
    }
}

fn about<'a>(args: &[Value<'a>], is: fn(&IpAddr) -> bool) -> Eval<'a> {
    match &args[0] {
        Value::Ip(ip) => Ok(Value::Bool(is(ip))),
        _ => no_overload(),
    }
}

/// The function that tells one thing about an address.
pub fn part(function: &str) -> Option<Run> {
    Some(match function {
        "family" => |args, _| match &args[0] {
            Value::Ip(ip) => Ok(Value::Int(if ip.is_ipv4() { 4 } else { 6 })),
            _ => no_overload(),
        },
        "isUnspecified" => |args, _| about(args, IpAddr::is_unspecified),
        "isLoopback" => |args, _| about(args, IpAddr::is_loopback),
        "isLinkLocalMulticast" => |args, _| about(args, is_link_local_multicast),
        "isLinkLocalUnicast" => |args, _| about(args, is_link_local),
        "isGlobalUnicast" => |args, _| {
            about(args, |ip| {
                let is_broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
                !ip.is_unspecified()
                    && !ip.is_loopback()
                    && !ip.is_multicast()
                    && !is_link_local(ip)
                    && !is_broadcast
            })
        },
        _ => return None,
    })
}

fn is_link_local(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

fn is_link_local_multicast(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.octets()[..3] == [224, 0, 0],
        IpAddr::V6(v6) => v6.segments()[0] & 0xff0f == 0xff02,
    }
}
