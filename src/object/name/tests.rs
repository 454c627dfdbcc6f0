//! The expectations are what upstream's library answers.

use super::*;

#[test]
fn names_and_what_is_wrong_with_them() {
    type Rule = fn(&str) -> Vec<String>;
    type Names = &'static [(&'static str, &'static [&'static str])];
    let cases: &[(Rule, Names)] = &[
        (
            is_dns1123_label,
            &[
                ("a", &[]),
                (
                    "",
                    &[
                        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
                    ],
                ),
                (
                    "ab-",
                    &[
                        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
                    ],
                ),
                (
                    "A",
                    &[
                        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
                    ],
                ),
                ("foo.bar", &["must not contain dots"]),
            ],
        ),
        (
            is_dns1123_subdomain,
            &[
                (
                    "A",
                    &[
                        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
                    ],
                ),
                ("foo.bar", &[]),
                (
                    "foo..bar",
                    &[
                        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
                    ],
                ),
            ],
        ),
        (
            is_dns1035_label,
            &[
                ("a", &[]),
                ("http-80", &[]),
                (
                    "80",
                    &[
                        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
                    ],
                ),
            ],
        ),
        (
            is_wildcard_dns1123_subdomain,
            &[
                (
                    "foo.bar",
                    &[
                        "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
                    ],
                ),
                ("*.foo", &[]),
            ],
        ),
        (
            is_qualified_name,
            &[
                ("a", &[]),
                (
                    "a/",
                    &[
                        "name part must be non-empty",
                        "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
                    ],
                ),
                ("/b", &["prefix part must be non-empty"]),
                (
                    "",
                    &[
                        "name part must be non-empty",
                        "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
                    ],
                ),
                ("A", &[]),
                ("a/b", &[]),
                (
                    "a/b/c",
                    &[
                        "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
                    ],
                ),
            ],
        ),
        (
            is_valid_label_value,
            &[
                (
                    "-",
                    &[
                        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
                    ],
                ),
                ("", &[]),
                ("A", &[]),
                (
                    "a/b",
                    &[
                        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
                    ],
                ),
            ],
        ),
        (
            is_valid_port_name,
            &[
                (
                    "",
                    &[
                        "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
                        "must contain at least one letter (a-z)",
                    ],
                ),
                ("a--", &["must not contain consecutive hyphens", "must not begin or end with a hyphen"]),
                ("http-80", &[]),
                ("80", &["must contain at least one letter (a-z)"]),
                ("X-Header", &["must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"]),
            ],
        ),
        (
            is_config_map_key,
            &[
                ("..", &["must not be '..'"]),
                (".", &["must not be '.'"]),
                ("..a", &["must not start with '..'"]),
                (
                    "",
                    &[
                        "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
                    ],
                ),
                ("foo.bar", &[]),
                (
                    "a/b",
                    &[
                        "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
                    ],
                ),
            ],
        ),
        (
            is_env_var_name,
            &[
                ("..a", &["must not start with '..'"]),
                ("A", &[]),
                (
                    "80",
                    &[
                        "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start with a digit (e.g. 'my.env-name',  or 'MY_ENV.NAME',  or 'MyEnvName1', regex used for validation is '[-._a-zA-Z][-._a-zA-Z0-9]*')",
                    ],
                ),
                ("X-Header", &[]),
            ],
        ),
        (
            is_relaxed_env_var_name,
            &[("", &["environment variable name must be non-empty"]), ("*.foo", &[]), ("80", &[])],
        ),
        (
            is_c_identifier,
            &[
                ("A", &[]),
                (
                    "80",
                    &[
                        "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is '[A-Za-z_][A-Za-z0-9_]*')",
                    ],
                ),
            ],
        ),
        (
            is_valid_percent,
            &[
                (
                    "%",
                    &[
                        "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
                    ],
                ),
                ("50%", &[]),
            ],
        ),
        (
            is_http_header_name,
            &[
                (
                    "foo.bar",
                    &[
                        "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')",
                    ],
                ),
                ("X-Header", &[]),
            ],
        ),
        (
            |n| path_segment(n, false),
            &[
                ("..", &["may not be '..'"]),
                (".", &["may not be '.'"]),
                ("A", &[]),
                ("a/b", &["may not contain '/'"]),
                ("50%", &["may not contain '%'"]),
            ],
        ),
        (|n| path_segment(n, true), &[(".", &[]), ("50%", &["may not contain '%'"])]),
        (
            |n| dns_subdomain(n, true),
            &[
                (
                    "-",
                    &[
                        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
                    ],
                ),
                ("a-", &[]),
                ("a--", &[]),
                ("ab-", &[]),
                (
                    "A",
                    &[
                        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
                    ],
                ),
            ],
        ),
        (|n| dns_label(n, true), &[("ab-", &[]), ("foo.bar", &["must not contain dots"])]),
    ];
    for (rule, names) in cases {
        for (name, expected) in *names {
            assert_eq!(rule(name), *expected, "{name}");
        }
    }
}

#[test]
fn names_that_are_too_long() {
    let label = "must be no more than 63 characters";
    let subdomain = "must be no more than 253 characters";
    assert!(is_dns1123_label(&"a".repeat(63)).is_empty());
    assert_eq!(is_dns1123_label(&"a".repeat(64)), [label]);
    assert_eq!(is_dns1035_label(&"a".repeat(64)), [label]);
    assert!(is_dns1123_subdomain(&"a".repeat(253)).is_empty());
    assert_eq!(is_dns1123_subdomain(&"a".repeat(254)), [subdomain]);
    assert_eq!(is_config_map_key(&"a".repeat(254)), [subdomain]);
    assert_eq!(is_valid_label_value(&"a".repeat(64)), ["must be no more than 63 bytes"]);
    assert_eq!(is_qualified_name(&"a".repeat(64)), ["name part must be no more than 63 bytes"]);
    assert_eq!(
        is_qualified_name(&format!("{}/a", "a".repeat(254))),
        ["prefix part must be no more than 253 bytes"]
    );
    assert_eq!(is_valid_port_name(&"a".repeat(16)), ["must be no more than 15 characters"]);
    assert_eq!(is_valid_port_number(0), ["must be between 1 and 65535, inclusive"]);
    assert_eq!(is_valid_id(-1), ["must be between 0 and 2147483647, inclusive"]);
}

#[test]
fn addresses_as_names() {
    for (name, wrong) in [
        ("10.0.0.1", ""),
        ("fe80::1", ""),
        ("fe80:0::1", "must be in canonical form (\"fe80::1\")"),
        ("FE80::1", "must be in canonical form (\"fe80::1\")"),
        ("::ffff:10.0.0.1", "must not be an IPv4-mapped IPv6 address"),
        ("10.0.0", "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
        ("010.0.0.1", "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
    ] {
        assert_eq!(ip_address(name, false).concat(), wrong, "{name}");
    }
}
