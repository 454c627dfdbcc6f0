//! The expectations are what upstream's library answers.

use super::*;
use serde_json::json;

#[test]
fn canonical_text_and_values() {
    // text, canonical text, whole units, thousandths, canonical text when rounded up to thousandths
    let cases = [
        ("0", "0", Some(0), Some(0), "0"),
        ("00", "0", Some(0), Some(0), "0"),
        ("+", "0", Some(0), Some(0), "0"),
        ("-", "0", Some(0), Some(0), "0"),
        (".", "0", Some(0), Some(0), "0"),
        ("-.", "0", Some(0), Some(0), "0"),
        ("1", "1", Some(1), Some(1000), "1"),
        ("+5", "+5", Some(5), Some(5000), "+5"),
        ("-5", "-5", None, None, "-5"),
        ("1.5", "1500m", Some(2), Some(1500), "1500m"),
        ("0.5", "500m", Some(1), Some(500), "500m"),
        ("1.500", "1.500", Some(2), Some(1500), "1.500"),
        ("001", "001", Some(1), Some(1000), "001"),
        ("1.G", "1.G", Some(1000000000), Some(1000000000000), "1.G"),
        ("8Ki", "8Ki", Some(8192), Some(8192000), "8Ki"),
        ("1024Ki", "1Mi", Some(1048576), Some(1048576000), "1Mi"),
        ("1025Ki", "1025Ki", Some(1049600), Some(1049600000), "1025Ki"),
        ("1536Mi", "1536Mi", Some(1610612736), Some(1610612736000), "1536Mi"),
        ("1.5Gi", "1536Mi", Some(1610612736), Some(1610612736000), "1536Mi"),
        ("0.5Ki", "512", Some(512), Some(512000), "512"),
        ("0.3Mi", "314572800m", Some(314573), Some(314572800), "314572800m"),
        ("1Ki", "1Ki", Some(1024), Some(1024000), "1Ki"),
        ("1000m", "1", Some(1), Some(1000), "1"),
        ("1500m", "1500m", Some(2), Some(1500), "1500m"),
        ("100m", "100m", Some(1), Some(100), "100m"),
        ("0.1", "100m", Some(1), Some(100), "100m"),
        ("0.001", "1m", Some(1), Some(1), "1m"),
        ("1n", "1n", Some(1), Some(1), "1m"),
        ("0.1n", "1n", Some(1), Some(1), "1m"),
        ("0.0000000001", "1n", Some(1), Some(1), "1m"),
        ("1e3", "1e3", Some(1000), Some(1000000), "1e3"),
        ("1E3", "1E3", Some(1000), Some(1000000), "1E3"),
        ("1e-3", "1e-3", Some(1), Some(1), "1e-3"),
        ("100e1", "1e3", Some(1000), Some(1000000), "1e3"),
        ("1E", "1E", None, None, "1E"),
        ("1000E", "1", None, None, "1"),
        ("10E", "10E", None, None, "10E"),
        ("1Ei", "1Ei", None, None, "1Ei"),
        ("8Ei", "9223372036854775807", None, None, "9223372036854775807"),
        ("7Ei", "7Ei", None, None, "7Ei"),
        ("9Ei", "9223372036854775807", None, None, "9223372036854775807"),
        ("100Ei", "9223372036854775807", None, None, "9223372036854775807"),
        ("9223372036854775807", "9223372036854775807", None, None, "9223372036854775807"),
        ("9223372036854775808", "9223372036854775808", None, None, "9223372036854775808"),
        (
            "123456789012345678901234567890",
            "123456789012345678901234567890",
            None,
            None,
            "123456789012345678901234567890",
        ),
        ("m", "0", Some(0), Some(0), "0"),
        ("Ki", "0", Some(0), Some(0), "0"),
        ("0Pi", "0", Some(0), Some(0), "0"),
        ("1e4294967296", "1e4294967296", Some(1), Some(1000), "1e4294967296"),
        ("12e6", "12e6", Some(12000000), Some(12000000000), "12e6"),
        ("12M", "12M", Some(12000000), Some(12000000000), "12M"),
        ("-1.5Gi", "-1536Mi", None, None, "-1536Mi"),
        ("-0.1n", "-1n", None, None, "-1m"),
        ("1u", "1u", Some(1), Some(1), "1m"),
        ("1500u", "1500u", Some(1), Some(2), "2m"),
        ("100u", "100u", Some(1), Some(1), "1m"),
        ("1Ti", "1Ti", Some(1099511627776), Some(1099511627776000), "1Ti"),
        ("3.14159Ki", "3216988160u", Some(3217), Some(3216989), "3216989m"),
        ("1e21", "1e21", None, None, "1e21"),
        ("1e20", "100e18", None, None, "100e18"),
        ("1e-10", "1e-9", Some(1), Some(1), "1e-3"),
        ("1e-20", "1e-9", Some(1), Some(1), "1e-3"),
        ("5e-9", "5e-9", Some(1), Some(1), "1e-3"),
        ("1.25e-9", "2e-9", Some(1), Some(1), "1e-3"),
        ("1.0Ki", "1Ki", Some(1024), Some(1024000), "1Ki"),
        ("1.Ki", "1.Ki", Some(1024), Some(1024000), "1.Ki"),
        ("0.0", "0", Some(0), Some(0), "0"),
        ("0Ki", "0", Some(0), Some(0), "0"),
        ("1.1Ki", "1126400m", Some(1127), Some(1126400), "1126400m"),
        ("1023", "1023", Some(1023), Some(1023000), "1023"),
        ("1024", "1024", Some(1024), Some(1024000), "1024"),
        ("1048576", "1048576", Some(1048576), Some(1048576000), "1048576"),
        ("1048576Ki", "1Gi", Some(1073741824), Some(1073741824000), "1Gi"),
        ("500Mi", "500Mi", Some(524288000), Some(524288000000), "500Mi"),
        ("0001Ki", "0001Ki", Some(1024), Some(1024000), "0001Ki"),
        ("1e+3", "1e+3", Some(1000), Some(1000000), "1e+3"),
        ("1000000000000000000000000000E", "1", None, None, "1"),
        ("0.000000001Ki", "1024n", Some(1), Some(1), "1m"),
        ("1024.5Ki", "1049088", Some(1049088), Some(1049088000), "1049088"),
        ("1000k", "1M", Some(1000000), Some(1000000000), "1M"),
        ("1024k", "1024k", Some(1024000), Some(1024000000), "1024k"),
        ("1e18", "1e18", None, None, "1e18"),
        ("12E6", "12E6", Some(12000000), Some(12000000000), "12E6"),
        ("120e-1", "12", Some(12), Some(12000), "12"),
    ];
    for (text, canonical, value, milli, rounded) in cases {
        let quantity = Quantity::parse(text).unwrap();
        assert_eq!(quantity.to_string(), canonical, "{text}");
        assert_eq!(quantity.round_up_to_milli().to_string(), rounded, "{text} rounded");
        if let (Some(value), Some(milli)) = (value, milli) {
            assert_eq!((quantity.value(), quantity.milli_value()), (value, milli), "{text}");
        }
    }
}

#[test]
fn texts_that_are_no_quantities() {
    use QuantityError::{Form, Number, Suffix};
    let cases = [
        ("", Form),
        ("Pi", Number),
        ("+Pi", Number),
        (".Pi", Number),
        ("1e", Suffix),
        ("1e99999999999999999999", Suffix),
        ("n1", Suffix),
        ("1 ", Form),
        (" 1", Form),
        ("1.2.3", Form),
        ("abc", Form),
        ("1kk", Suffix),
        ("1Kii", Suffix),
        ("1K", Suffix),
        ("1mi", Suffix),
        ("4e6Ki", Form),
        ("--1", Suffix),
        ("1-", Suffix),
        ("1e3.5", Form),
        ("\u{661}", Form),
        ("1i", Suffix),
        ("812900000445080940114.0489292481000802582T", Number), // more digits than we hold
    ];
    for (text, error) in cases {
        assert_eq!(Quantity::parse(text).unwrap_err(), error, "{text}");
    }
}

#[test]
fn order_sum_and_difference() {
    let cases = [
        ("80.Ki", "Ki", Ordering::Greater, "80Ki", "80Ki"),
        ("8m", "Mi", Ordering::Greater, "8m", "8m"),
        ("000Mi", "005", Ordering::Less, "5", "-5"),
        ("Ki", ".088Gi", Ordering::Less, "94489280512m", "-94489280512m"),
        (".95", "-", Ordering::Greater, "950m", "950m"),
        ("0M", "2209M", Ordering::Less, "2209M", "-2209M"),
        ("-55M", "809e3", Ordering::Less, "-54191k", "-55809k"),
        (".181k", "02011e3", Ordering::Less, "2011181", "-2010819"),
        ("0580k", "04.Ki", Ordering::Greater, "584096", "575904"),
        ("-", "-0.Gi", Ordering::Equal, "0", "0"),
        ("-8Gi", "104m", Ordering::Less, "-8589934591896m", "-8589934592104m"),
        ("m", "05.04M", Ordering::Less, "5040k", "-5040k"),
        ("1005Ki", "k", Ordering::Greater, "1005Ki", "1005Ki"),
        ("99n", "5.14Mi", Ordering::Less, "5389680640000099n", "-5389680639999901n"),
        ("8008Ki", ".9442Mi", Ordering::Greater, "9190257459200u", "7210126540800u"),
        ("5.Ki", "021.k", Ordering::Less, "26120", "-15880"),
        ("24.9e3", "-000Ki", Ordering::Greater, "24900", "24900"),
        ("-5e3", "420.2M", Ordering::Less, "420195e3", "-420205e3"),
        ("Gi", "5.00M", Ordering::Less, "5M", "-5M"),
        ("5Gi", ".n", Ordering::Greater, "5Gi", "5Gi"),
        ("-4088", "M", Ordering::Less, "-4088", "-4088"),
        ("-.9001M", "4.Gi", Ordering::Less, "4294067196", "-4295867396"),
        ("5502k", "e3", Ordering::Greater, "5502k", "5502k"),
        ("-55.m", "0n", Ordering::Less, "-55m", "-55m"),
        ("Ki", "8000e3", Ordering::Less, "8e6", "-8e6"),
        ("-0800n", ".2k", Ordering::Less, "199999999200n", "-200000000800n"),
        ("-0808n", "0081m", Ordering::Less, "80999192n", "-81000808n"),
        ("99525", "-900m", Ordering::Greater, "99524100m", "99525900m"),
        ("28.8m", ".5081M", Ordering::Less, "508100028800u", "-508099971200u"),
        ("9Ki", "10005n", Ordering::Greater, "9216000010005n", "9215999989995n"),
        ("55000Mi", "9Gi", Ordering::Greater, "64216Mi", "45784Mi"),
        ("e3", "052k", Ordering::Less, "52k", "-52k"),
        ("-19021M", "004M", Ordering::Less, "-19017M", "-19025M"),
        ("20185M", "-05829m", Ordering::Greater, "20184999994171m", "20185000005829m"),
        ("02k", "800Mi", Ordering::Less, "838862800", "-838858800"),
        ("111", "-.8m", Ordering::Greater, "110999200u", "111000800u"),
        ("2054.Ki", "Gi", Ordering::Greater, "2054Ki", "2054Ki"),
        ("-.e3", "40m", Ordering::Less, "40m", "-40m"),
        ("0.80502", "-000Ki", Ordering::Greater, "805020u", "805020u"),
        ("1028.n", "080.02n", Ordering::Greater, "1109n", "947n"),
    ];
    for (a, b, order, sum, difference) in cases {
        let (x, y) = (Quantity::parse(a).unwrap(), Quantity::parse(b).unwrap());
        assert_eq!(x.cmp(&y), order, "{a} <=> {b}");
        assert_eq!(x.add(&y).to_string(), sum, "{a} + {b}");
        assert_eq!(x.sub(&y).to_string(), difference, "{a} - {b}");
    }
}

#[test]
fn extremes_saturate() {
    let huge = Quantity::parse("1e2147483646").unwrap();
    let tiny = Quantity::parse("1e-2147483647").unwrap();
    assert_eq!(huge.value(), i64::MAX);
    assert_eq!(huge.neg().milli_value(), i64::MIN);
    assert_eq!(tiny.to_string(), "1e-9");
    assert!(huge > tiny && huge.neg() < tiny);
    assert_eq!(huge.add(&tiny).value(), i64::MAX);
    let wide = Quantity::parse(&"9".repeat(38)).unwrap();
    assert_eq!(wide.cmp(&Quantity::parse("100e36").unwrap()), Ordering::Less);
    assert_eq!(wide.cmp(&Quantity::parse("99999999999999999999e18").unwrap()), Ordering::Greater);
    assert_eq!(Quantity::parse(&format!("{}Ei", "9".repeat(1000))).unwrap().value(), i64::MAX);
}

#[test]
fn values_of_trees() {
    let cases = [
        (json!(null), Ok("0")),
        (json!(" 1Gi "), Ok("1Gi")),
        (json!(5), Ok("5")),
        (json!(0.25), Ok("250m")),
        (json!(true), Err(QuantityError::Form)),
        (json!({}), Err(QuantityError::Form)),
    ];
    for (value, expected) in cases {
        assert_eq!(
            Quantity::from_value(&value).map(|q| q.to_string()),
            expected.map(str::to_owned),
            "{value}"
        );
    }
}
