//! The expectations are what upstream's library answers.

use super::*;
use serde_json::json;

#[test]
fn label_selectors_as_text() {
    let cases: &[(&str, Result<&str, &str>)] = &[
        ("", Ok("")),
        (" ", Ok("")),
        ("a=b", Ok("a=b")),
        ("a==b", Ok("a==b")),
        ("a!=b", Ok("a!=b")),
        ("a", Ok("a")),
        ("!a", Ok("!a")),
        ("! a", Ok("!a")),
        ("a,b", Ok("a,b")),
        ("a in (b)", Ok("a in (b)")),
        ("a in (b,c)", Ok("a in (b,c)")),
        ("a in (c,b,c)", Ok("a in (b,c)")),
        ("a notin (b)", Ok("a notin (b)")),
        ("a in ()", Ok("a in ()")),
        ("a in (,)", Ok("a in ()")),
        ("a in (,b)", Ok("a in (,b)")),
        ("a in (b,)", Ok("a in (,b)")),
        ("a in (b,,c)", Ok("a in (,b,c)")),
        ("x in (foo,,baz),y,z notin ()", Ok("x in (,baz,foo),y,z notin ()")),
        ("a>1", Ok("a>1")),
        (
            "a<-5",
            Err(
                "unable to parse requirement: values[0][a]: Invalid value: \"-5\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
            ),
        ),
        (
            "a>x",
            Err(
                "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer",
            ),
        ),
        ("a=", Ok("a=")),
        ("a=,b", Ok("a=,b")),
        ("a!=", Ok("a!=")),
        (",", Err("found ',', expected: !, identifier, or 'end of string'")),
        ("a,", Err("found '', expected: identifier after ','")),
        (",a", Err("found ',', expected: !, identifier, or 'end of string'")),
        ("a in", Err("unable to parse requirement: found '' expected: '('")),
        ("a in (", Err("unable to parse requirement: found '', expected: ',', ')' or identifier")),
        ("a in (b", Err("unable to parse requirement: found '', expected: ',' or ')'")),
        ("a in (b,", Err("unable to parse requirement: found '', expected: ',', or identifier")),
        ("a in b", Err("unable to parse requirement: found 'b' expected: '('")),
        ("a in (b c)", Err("unable to parse requirement: found 'c', expected: ',' or ')'")),
        ("a in (b=c)", Err("unable to parse requirement: found '=', expected: ',' or ')'")),
        ("a b", Err("unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt")),
        ("a=b c", Err("found 'c', expected: ',' or 'end of string'")),
        ("a==b=c", Err("found '=', expected: ',' or 'end of string'")),
        ("=b", Err("found '=', expected: !, identifier, or 'end of string'")),
        ("a=(b)", Err("unable to parse requirement: found '(', expected: identifier")),
        ("!", Err("unable to parse requirement: found '', expected: identifier")),
        ("!!a", Err("unable to parse requirement: found '!', expected: identifier")),
        ("!a in (b)", Err("found 'in', expected: ',' or 'end of string'")),
        ("in=notin", Ok("in=notin")),
        ("in in (in,notin)", Ok("in in (in,notin)")),
        ("in", Ok("in")),
        ("notin", Ok("notin")),
        ("z=1,a=2,m", Ok("a=2,m,z=1")),
        (
            "a/b/c=d",
            Err(
                "unable to parse requirement: <nil>: Invalid value: \"a/b/c\": a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
            ),
        ),
        (
            "A.b/c=d",
            Err(
                "unable to parse requirement: <nil>: Invalid value: \"A.b/c\": prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
            ),
        ),
        (
            "/x=y",
            Err("unable to parse requirement: <nil>: Invalid value: \"/x\": prefix part must be non-empty"),
        ),
        (
            "x/=y",
            Err(
                "unable to parse requirement: <nil>: Invalid value: \"x/\": name part must be non-empty; name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
            ),
        ),
        (
            "-a=b",
            Err(
                "unable to parse requirement: <nil>: Invalid value: \"-a\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
            ),
        ),
        (
            "a=-b",
            Err(
                "unable to parse requirement: values[0][a]: Invalid value: \"-b\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
            ),
        ),
        ("a=b!", Err("found '!', expected: ',' or 'end of string'")),
        (
            "a=é",
            Err(
                "unable to parse requirement: values[0][a]: Invalid value: \"é\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
            ),
        ),
        (
            "é=a",
            Err(
                "unable to parse requirement: <nil>: Invalid value: \"é\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
            ),
        ),
        ("a\tin\n(b)", Ok("a in (b)")),
        ("a in (b))", Err("found ')', expected: ',' or 'end of string'")),
        ("(a)", Err("found '(', expected: !, identifier, or 'end of string'")),
        ("a=b,a=c", Ok("a=b,a=c")),
        ("a!b", Err("unable to parse requirement: found '!', expected: in, notin, =, ==, !=, gt, lt")),
        ("a!", Err("unable to parse requirement: found '!', expected: in, notin, =, ==, !=, gt, lt")),
        ("a>=1", Err("unable to parse requirement: found '=', expected: identifier")),
        ("a=>1", Err("unable to parse requirement: found '>', expected: identifier")),
        (
            "a<b",
            Err(
                "unable to parse requirement: values[0]: Invalid value: \"b\": for 'Gt', 'Lt' operators, the value must be an integer",
            ),
        ),
        (
            "a in (-b, c_)",
            Err(
                "unable to parse requirement: [values[0][a]: Invalid value: \"-b\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?'), values[1][a]: Invalid value: \"c_\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')]",
            ),
        ),
        ("a\x00b", Err("unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt")),
        ("a=b\x00", Ok("a=b")),
        (
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx=a",
            Err(
                "unable to parse requirement: <nil>: Invalid value: \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\": name part must be no more than 63 bytes",
            ),
        ),
        (
            "a=yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy",
            Err(
                "unable to parse requirement: values[0][a]: Invalid value: \"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\": must be no more than 63 bytes",
            ),
        ),
        ("a in(b)", Ok("a in (b)")),
        ("a in(b)c", Err("found 'c', expected: ',' or 'end of string'")),
        (
            "a=b,!c,d in (e,f),g notin (h),i>3,j<4,k!=l,m==n",
            Ok("a=b,!c,d in (e,f),g notin (h),i>3,j<4,k!=l,m==n"),
        ),
    ];
    for (text, expected) in cases {
        let read = Labels::parse(text).map(|l| l.to_string());
        assert_eq!(read.as_deref().map_err(String::as_str), *expected, "{text}");
    }
}

#[test]
fn label_selectors_of_objects() {
    // `None` matches nothing
    let cases: &[(&str, Result<Option<&str>, &str>)] = &[
        (r#"null"#, Ok(None)),
        (r#"{}"#, Ok(Some(""))),
        (r#"{"matchLabels":{"b":"2","a":"1"}}"#, Ok(Some("a=1,b=2"))),
        (
            r#"{"matchExpressions":[{"key":"a","operator":"In","values":["y","x"]},{"key":"b","operator":"Exists"}]}"#,
            Ok(Some("a in (x,y),b")),
        ),
        (
            r#"{"matchExpressions":[{"key":"a","operator":"In"}]}"#,
            Err("values: Invalid value: null: for 'in', 'notin' operators, values set can't be empty"),
        ),
        (
            r#"{"matchExpressions":[{"key":"a","operator":"Exists","values":["x"]}]}"#,
            Err("values: Invalid value: [\"x\"]: values set must be empty for exists and does not exist"),
        ),
        (
            r#"{"matchExpressions":[{"key":"a","operator":"Foo"}]}"#,
            Err("\"Foo\" is not a valid label selector operator"),
        ),
        (
            r#"{"matchExpressions":[{"key":"-a","operator":"NotIn","values":["x","-y"]}]}"#,
            Err(
                "[key: Invalid value: \"-a\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]'), values[1][-a]: Invalid value: \"-y\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')]",
            ),
        ),
        (
            r#"{"matchLabels":{"a b":"c d"}}"#,
            Err(
                "[key: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]'), values[0][a b]: Invalid value: \"c d\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')]",
            ),
        ),
    ];
    for (text, expected) in cases {
        let selector = serde_json::from_str(text).unwrap();
        let read = Labels::from_object(Some(&selector)).map(|l| l.map(|l| l.to_string()));
        assert_eq!(read.as_ref().map(Option::as_deref).map_err(String::as_str), *expected, "{text}");
    }
    assert_eq!(Labels::from_object(None), Ok(None));
}

#[test]
fn what_label_selectors_match() {
    let object = json!({"metadata": {"labels": {"app": "web", "n": "5", "word": "x"}}});
    let cases = [
        ("", true),
        ("app=web", true),
        ("app==web,n", true),
        ("app!=web", false),
        ("app!=db", true),
        ("other!=x", true),
        ("other notin (x)", true),
        ("app in (web,db)", true),
        ("app notin (web,db)", false),
        ("other in (x)", false),
        ("other", false),
        ("!other", true),
        ("!app", false),
        ("n>4", true),
        ("n>5", false),
        ("n<6", true),
        ("word>1", false),
        ("other<1", false),
    ];
    for (text, expected) in cases {
        assert_eq!(Labels::parse(text).unwrap().matches_object(&object), expected, "{text}");
    }
    let map = json!({"app": "web", "n": "5"});
    assert!(Labels::from_map(Some(&map)).matches_object(&object));
    assert_eq!(Labels::from_map(Some(&map)).to_string(), "app=web,n=5");
    assert_eq!(Labels::parse("a in (b),c!=d").unwrap().exact("a"), Some("b"));
    assert_eq!(Labels::parse("a in (b),c!=d").unwrap().exact("c"), None);
}

#[test]
fn field_selectors() {
    let cases: &[(&str, Result<&str, &str>)] = &[
        ("", Ok("")),
        ("a=b", Ok("a=b")),
        ("a==b,c!=d", Ok("a=b|c!=d")),
        ("a", Err("invalid selector: 'a'; can't understand 'a'")),
        ("a=b,,c=d", Ok("a=b|c=d")),
        ("a=\\,b", Ok("a=,b")),
        ("a=b\\", Err("invalid field selector: invalid escape sequence: \\")),
        ("a=b\\x", Err("invalid field selector: invalid escape sequence: \\x")),
        ("a=b=c", Err("invalid field selector: unescaped character in value: 61")),
        ("metadata.name=x,spec.nodeName!=", Ok("metadata.name=x|spec.nodeName!=")),
        ("=", Ok("")),
        ("!=", Ok("")),
        (",", Ok("")),
        ("a!b", Err("invalid selector: 'a!b'; can't understand 'a!b'")),
        ("b=1,a=2", Ok("a=2|b=1")),
    ];
    for (text, expected) in cases {
        let show = |t: &FieldTerm| format!("{}{}{}", t.field, if t.negated { "!=" } else { "=" }, t.value);
        let read = Fields::parse(text).map(|f| f.0.iter().map(show).collect::<Vec<_>>().join("|"));
        assert_eq!(read.as_deref().map_err(String::as_str), *expected, "{text}");
    }
    let fields = Fields::parse("a=1,b!=2").unwrap();
    assert!(fields.matches(|f| if f == "a" { "1" } else { "" }));
    assert!(!fields.matches(|f| if f == "a" { "1" } else { "2" }));
    assert_eq!((fields.exact("a"), fields.exact("b")), (Some("1"), None));
    assert_eq!(
        Fields::parse(&format!("a={}", escape_field_value(r"x,y=\z"))).unwrap().exact("a"),
        Some(r"x,y=\z")
    );
}
