//! Tables: expressions and what they come to over one object; what does not compile; costs.

use crate::{
    AUTHORIZER, Access, Authorizer, Decision, Decl, Dialect, Field, Merge, Program, Question, RESOURCE_CHECK,
    Record, Shape, Type, Value, Variable, limits,
};
use serde_json::json;
use std::sync::Arc;

fn object(fields: Vec<(&str, Arc<Decl>)>) -> Arc<Decl> {
    let fields = fields
        .into_iter()
        .map(|(name, decl)| (crate::escape(name).unwrap().into(), Field { json: name.into(), decl }));
    Arc::new(Decl { shape: Shape::Object(fields.collect()), elements_max: 0, bytes_min: 2 })
}

fn list(item: Arc<Decl>, merge: Merge, elements_max: u64) -> Arc<Decl> {
    Arc::new(Decl { shape: Shape::List(item, merge), elements_max, bytes_min: 2 })
}

fn spec() -> Arc<Decl> {
    let text = || Decl::scalar(Type::String, 2, 100);
    let port = object(vec![("name", text()), ("port", Decl::scalar(Type::Int, 1, 0))]);
    let entries = Arc::new(Decl { shape: Shape::Map(text()), elements_max: 10, bytes_min: 2 });
    object(vec![
        ("name", text()),
        ("missing", text()),
        ("replicas", Decl::scalar(Type::Int, 1, 0)),
        ("ratio", Decl::scalar(Type::Double, 1, 0)),
        ("dashed-name", text()),
        ("namespace", text()),
        ("tags", list(text(), Merge::Set, 10)),
        ("numbers", list(Decl::scalar(Type::Int, 1, 0), Merge::Atomic, 10)),
        ("ports", list(port, Merge::Map(Box::new(["name".into()])), 10)),
        ("labels", entries),
        ("either", Decl::scalar(Type::Dyn, 1, 400)),
        ("since", Decl::scalar(Type::Timestamp, 21, 32)),
        ("length", Decl::scalar(Type::Duration, 3, 32)),
        ("data", Decl::scalar(Type::Bytes, 2, 100)),
    ])
}

fn data() -> serde_json::Value {
    json!({
        "name": "web", "replicas": 3, "ratio": 2, "dashed-name": "x", "namespace": "ns",
        "tags": ["a", "b"], "numbers": [3, 1, 2], "labels": {"app": "web", "a/b": "c"}, "either": "50%",
        "ports": [{"name": "http", "port": 80}, {"name": "https", "port": 443}],
        "since": "2024-02-29T12:30:15.5Z", "length": "1h30m", "data": "aGk=",
    })
}

fn evaluate(source: &str) -> String {
    let decl = spec();
    let program = match Program::compile(source, &[Variable::declared("self", &decl)]) {
        Ok(program) => program,
        Err(issues) => return format!("does not compile: {issues}"),
    };
    let json = data();
    let value = Value::of(&json, Some(&decl));
    match program.evaluate(&[("self", value)], limits::CALL_COST_MAX).result {
        Ok(Value::Bool(b)) => b.to_string(),
        Ok(other) => format!("{other:?}"),
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn what_holds() {
    for source in [
        "self.name == 'web' && self.replicas > 2",
        "self.ratio == 2.0 && self.ratio / 4.0 == 0.5",
        "self.__namespace__ == 'ns' && self.dashed__dash__name == 'x'",
        "has(self.name) && !has(self.missing)",
        "self.missing == 'x' || true",
        "!(self.missing == 'x' && false)",
        "self.tags.all(t, t.size() == 1) && self.tags.exists(t, t == 'a') && self.tags.exists_one(t, t == 'b')",
        "self.numbers.map(n, n * 2) == [6, 2, 4] && self.numbers.filter(n, n > 1) == [3, 2]",
        "self.numbers.map(n, n > 1, n + 1) == [4, 3]",
        "self.labels.all(k, self.labels[k] != '') && 'app' in self.labels && self.labels['a/b'] == 'c'",
        "self.ports.exists(p, p.name == 'http' && p.port == 80) && self.ports[1].port == 443",
        "self.numbers.sum() == 6 && self.numbers.min() == 1 && self.numbers.max() == 3 && !self.numbers.isSorted()",
        "self.numbers.sort() == [1, 2, 3] && self.numbers.indexOf(2) == 2 && self.numbers.reverse()[0] == 2",
        "self.ports.sortBy(p, -p.port)[0].name == 'https'",
        "self.numbers.all(i, v, i < 3 && v > 0) && self.labels.exists(k, v, v == 'c')",
        "self.numbers.transformList(i, v, i + v) == [3, 2, 4]",
        "self.labels.transformMap(k, v, v + '!')['app'] == 'web!'",
        "type(self.either) == string && self.either.matches('^[0-9]+%$')",
        "type(self.either) == int ? self.either < 5 : double(self.either.replace('%', '')) < 60.0",
        "self.since < timestamp('2025-01-01T00:00:00Z') && self.since.getDate() == 29 && self.since.getHours() == 12",
        "self.since.getHours('-02:00') == 10 && self.since.getMilliseconds() == 500",
        "self.since.getHours('America/New_York') == 7 && self.since.getHours('UTC') == self.since.getHours()",
        "self.length == duration('90m') && self.length.getMinutes() == 90 && string(self.length) == '5400s'",
        "self.data == b'hi' && string(self.data) == 'hi'",
        "'%s has %d, %.2f, %x %%'.format([self.name, 3, 1.5, 255]) == 'web has 3, 1.50, ff %'",
        "'a,b'.split(',') == ['a', 'b'] && ['a', 'b'].join('-') == 'a-b' && 'tacocat'.substring(4) == 'cat'",
        "'abc'.charAt(1) == 'b' && 'hello'.lastIndexOf('l') == 3 && 'ÀB'.lowerAscii() == 'Àb' && ' x '.trim() == 'x'",
        "strings.quote('a\"b') == '\"a\\\\\"b\"'",
        "'abc 123 45'.find('[0-9]+') == '123' && 'abc 123 45'.findAll('[0-9]+') == ['123', '45']",
        "sets.contains([1, 2, 3], [2]) && sets.equivalent([1, 1], [1]) && sets.intersects([1], [1, 2])",
        "quantity('1Gi').isGreaterThan(quantity('1G')) && quantity('500m').add(quantity('500m')).asInteger() == 1",
        "quantity('1k') == quantity('1000') && isQuantity('1Mi') && !isQuantity('x') && quantity('-1').sign() == -1",
        "url('https://u:p@example.com:8080/a b?x=1&x=2').getPort() == '8080' || true",
        "url('https://example.com:80/a?x=1&x=2').getQuery()['x'] == ['1', '2'] && !isURL('a b')",
        "ip('192.168.0.1').family() == 4 && isIP('::1') && ip('::1').isLoopback() && ip.isCanonical('::1')",
        "cidr('192.168.0.0/24').containsIP('192.168.0.9') && cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')",
        "cidr('192.168.1.5/24').masked() == cidr('192.168.1.0/24') && string(cidr('10.0.0.0/8').ip()) == '10.0.0.0'",
        "semver('1.2.3').isLessThan(semver('1.10.0')) && semver('1.0.0-rc.1').compareTo(semver('1.0.0')) == -1",
        "!format.dns1123Label().validate('a.b').hasValue() || format.named('uuid').hasValue()",
        "self.?missing.orValue('none') == 'none' && self.?name.value() == 'web' && !self.?missing.hasValue()",
        "self.labels[?'nothing'].orValue('x') == 'x' && self.?name.optMap(n, n.size()).orValue(0) == 3",
        "[1, ?optional.none()].size() == 1 && {'a': 1, ?'b': optional.of(2)}.size() == 2",
        "1 < 2.5 && 3u > 2 && -7 / 2 == -3 && -7 % 2 == -1 && 0x1F == 31",
        "self.tags == ['b', 'a'] || self.tags == self.tags",
        "(self.numbers + [4]).size() == 4 && self.tags + self.tags == self.tags",
        "dyn(1) == dyn(1.0) && !(dyn(1) == dyn('1')) && type(1) == int && type(type(1)) == type",
        "'\\u00e9' == 'é' && r'\\d' == '\\\\d' && '''a'b''' == \"a'b\" && b'\\xff' != b'\\xfe'",
        "// a comment\ntrue",
        "[[1, 2], [3]].flatten() == [1, 2, 3] && lists.range(3) == [0, 1, 2] && [1, 1, 2].distinct() == [1, 2]",
        "[1, 2, 3].first().value() == 1 && ![].last().hasValue() && [1, 2, 3].slice(1, 3) == [2, 3]",
        "self.numbers.exists_one(n, n == 3) && self.numbers.filter(n, self.numbers.exists(m, m == n + 1)) == [1, 2]",
    ] {
        assert_eq!(evaluate(source), "true", "{source}");
    }
}

const PATCHES: Dialect = Dialect {
    records: &[
        Record { name: "Object", fields: None },
        Record { name: "JSONPatch", fields: Some(&[("op", Type::String), ("value", Type::Dyn)]) },
    ],
    libraries: &["jsonpatch"],
};

/// The JSON of what an expression makes, and which of its types have wrong names.
fn make(source: &str) -> String {
    let decl = spec();
    let program = match Program::compile_in(PATCHES, source, &[Variable::declared("self", &decl)]) {
        Ok(program) => program,
        Err(issues) => return issues.to_string().lines().next().unwrap_or_default().to_owned(),
    };
    let json = data();
    let value = Value::of(&json, Some(&decl));
    match program.evaluate(&[("self", value)], limits::CALL_COST_MAX).result {
        Ok(value) => match (value.json(), &*value.misnamed()) {
            (Ok(json), []) => format!("{} {json}", program.result()),
            (Ok(_), wrong) => wrong.join("; "),
            (Err(why), _) => why,
        },
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_is_made() {
    let mixed = "{'a': self.either, 'b': 'c'}";
    assert!(make(mixed).contains("1:25: expected type 'dyn' but found 'string'"), "{}", make(mixed));
    assert!(make("[self.either, dyn(1), 'c']").contains("1:23: expected type 'dyn' but found 'string'"));

    let large = "lists.range(20000).map(i, self)";
    for (source, expected) in [
        ("Object{}", "Object {}"),
        (
            "Object{spec: Object.spec{replicas: self.replicas + 1, tags: self.tags, none: null}}",
            r#"Object {"spec":{"none":null,"replicas":4,"tags":["a","b"]}}"#,
        ),
        (
            "Object{metadata: Object.metadata{labels: {'a': self.name}, ?namespace: self.?missing, ?name: self.?name}}",
            r#"Object {"metadata":{"labels":{"a":"web"},"name":"web"}}"#,
        ),
        (
            "Object{spec: Object.spec{items: [Object.spec.items{a: 1}]}}",
            r#"Object {"spec":{"items":[{"a":1}]}}"#,
        ),
        ("Object{a: Object.a{b: 1.5}}.a.b", "dyn 1.5"),
        (
            "Object{} == Object{} && Object{a: 1} != Object{a: 2} && !has(Object{}.a) ? [Object{}] : []",
            "list(Object) [{}]",
        ),
        (
            "[JSONPatch{op: 'add', value: self.data}, JSONPatch{op: 'x'}]",
            r#"list(JSONPatch) [{"op":"add","value":"aGk="},{"op":"x"}]"#,
        ),
        ("'/a/' + jsonpatch.escapeKey('b/c~d')", r#"string "/a/b~1c~0d""#),
        (
            "Object{spec: Object.wrong{}}",
            "unexpected type name \"Object.wrong\", expected \"Object.spec\", which matches field name path from root Object type",
        ),
        ("Object{a: {1: 2}}", "map key 1 is not of type string"),
        ("Object{a: ip('::1')}", "a value of type net.IP has no form in JSON"),
        (large, "the value is larger than a request may be"),
        ("Other{}", "ERROR: <input>:1:6: undeclared reference to 'Other' (in container '')"),
        (
            "JSONPatch{op: 1}",
            "ERROR: <input>:1:13: expected type of field 'op' is 'string' but provided type is 'int'",
        ),
        ("JSONPatch{to: 1}", "ERROR: <input>:1:13: undefined field 'to'"),
    ] {
        assert_eq!(make(source), expected, "{source}");
    }
    assert!(evaluate("Object{} == Object{}").contains("undeclared reference to 'Object'"));
    assert!(evaluate("jsonpatch.escapeKey('a') == 'a'").contains("undeclared reference to"));
}

#[derive(Debug)]
struct Roles;

impl Authorizer for Roles {
    fn decide(&self, question: &Question) -> Decision {
        let who = question.account.as_ref().map(|(namespace, name)| format!("{namespace}:{name} "));
        let reason = match &question.path {
            Some(path) => format!("{} {path}", question.verb),
            None => [
                &question.verb,
                &question.group,
                &question.resource,
                &question.subresource,
                &question.namespace,
                &question.name,
            ]
            .map(String::as_str)
            .join("/"),
        };
        Decision { allowed: question.verb == "get", reason: who.unwrap_or_default() + &reason }
    }
}

#[test]
fn what_somebody_may_do() {
    let variables = [
        Variable::of("authorizer", Type::Opaque(AUTHORIZER)),
        Variable::of("authorizer.requestResource", Type::Opaque(RESOURCE_CHECK)),
    ];
    let own = Question { group: "apps".into(), resource: "deployments".into(), ..Question::default() };
    for (source, expected) in [
        ("authorizer.path('/healthz').check('get').allowed()", "true"),
        ("authorizer.path('/healthz').check('post').allowed()", "false"),
        ("authorizer.path('/healthz').check('get').reason() == 'get /healthz'", "true"),
        (
            "authorizer.group('g').resource('r').subresource('s').namespace('n').name('m').check('list').reason() == 'list/g/r/s/n/m'",
            "true",
        ),
        (
            "authorizer.serviceAccount('n', 'a').group('').resource('pods').labelSelector('a=b').fieldSelector('c=d').check('get').reason() == 'n:a get//pods///'",
            "true",
        ),
        (
            "authorizer.requestResource.subresource('scale').check('get').reason() == 'get/apps/deployments/scale//'",
            "true",
        ),
        (
            "!authorizer.requestResource.check('x').errored() && authorizer.requestResource.check('x').error() == ''",
            "true",
        ),
        ("authorizer.path(' ').check('get').allowed()", "error: path must not be empty"),
        (
            "authorizer.serviceAccount('a', '-').path('/').check('get').allowed()",
            "error: Invalid service account name",
        ),
        (
            "['a', 'b', 'c'].exists(v, authorizer.path('/').check(v).allowed())",
            "error: operation cancelled: actual cost limit exceeded",
        ),
        (
            "authorizer.check('get').allowed()",
            "ERROR: <input>:1:17: found no matching overload for 'check' applied to 'kubernetes.authorization.Authorizer.(string)'",
        ),
    ] {
        let found = match Program::compile(source, &variables) {
            Err(issues) => issues.to_string().lines().next().unwrap_or_default().to_owned(),
            Ok(program) => {
                let values = [
                    ("authorizer", Access::of(&Roles)),
                    ("authorizer.requestResource", Access::of_resource(&Roles, own.clone())),
                ];
                match program.evaluate(&values, limits::CALL_COST_MAX).result {
                    Ok(Value::Bool(b)) => b.to_string(),
                    Ok(other) => format!("{other:?}"),
                    Err(error) => format!("error: {error}"),
                }
            }
        };
        assert_eq!(found, expected, "{source}");
    }
}

#[test]
fn what_goes_wrong() {
    for (source, expected) in [
        ("self.missing == 'x'", "error: no such key: missing"),
        ("self.numbers[7] == 1", "error: index out of bounds: 7"),
        ("1 / (self.replicas - 3) == 1", "error: division by zero"),
        ("9223372036854775807 + self.replicas > 0", "error: integer overflow"),
        ("self.either < 5", "error: no such overload"),
        ("self.since.getHours('Nowhere/Land') == 1", "error: unknown time zone Nowhere/Land"),
        ("self.since.getHours('2:x') == 1", "error: strconv.Atoi: parsing \"x\": invalid syntax"),
        ("self.since.getHours('999999999:00') == 1", "error: unknown time zone 999999999:00"),
        ("int('x') == 1", "error: type conversion error from 'string' to 'int'"),
        (
            "self.nothing == 1",
            "does not compile: ERROR: <input>:1:5: undefined field 'nothing'\n | self.nothing == 1\n | ....^",
        ),
        (
            "other == 1",
            "does not compile: ERROR: <input>:1:1: undeclared reference to 'other' (in container '')\n | other == 1\n | ^",
        ),
        (
            "self.name + 1 == 'x'",
            "does not compile: ERROR: <input>:1:11: found no matching overload for '_+_' applied to '(string, int)'\n | self.name + 1 == 'x'\n | ..........^",
        ),
        (
            "self.name.size(1) == 1",
            "does not compile: ERROR: <input>:1:15: found no matching overload for 'size' applied to 'string.(int)'\n | self.name.size(1) == 1\n | ..............^",
        ),
        (
            "self.name ==",
            "does not compile: ERROR: <input>:1:13: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}\n | self.name ==\n | ............^",
        ),
        (
            "self.name.matches('[')",
            "does not compile: ERROR: <input>:1:19: invalid matches argument\n | self.name.matches('[')\n | ..................^",
        ),
        (
            "[1, 'a'].size() == 2",
            "does not compile: ERROR: <input>:1:5: expected type 'int' but found 'string'\n | [1, 'a'].size() == 2\n | ....^",
        ),
        (
            "namespace == 1",
            "does not compile: ERROR: <input>:1:1: reserved identifier: namespace\n | namespace == 1\n | ^",
        ),
    ] {
        assert_eq!(evaluate(source), expected, "{source}");
    }
}

#[test]
fn a_deep_expression_is_refused_and_a_long_one_is_not() {
    for deep in [
        "(".repeat(10_000),
        "-".to_owned() + &"[".repeat(10_000),
        "a.".repeat(10_000) + "a",
        "1+".repeat(9_999) + "1",
    ] {
        assert!(evaluate(&deep).contains("recursion limit exceeded"), "{deep}");
    }
    let long = vec!["self.replicas > 0"; 1000].join(" && ");
    assert_eq!(evaluate(&long), "true");
}

#[test]
fn costs_end_an_evaluation() {
    let decl = list(Decl::scalar(Type::Int, 1, 0), Merge::Atomic, 3000);
    let source = "self.all(a, self.all(b, a + b >= 0))";
    let program = Program::compile(source, &[Variable::declared("self", &decl)]).unwrap();
    assert!(program.cost_max() > 9_000_000, "{}", program.cost_max());
    let many = serde_json::Value::from((0..3000).collect::<Vec<_>>());
    let outcome = program.evaluate(&[("self", Value::of(&many, Some(&decl)))], limits::CALL_COST_MAX);
    assert_eq!(outcome.result.unwrap_err().to_string(), "operation cancelled: actual cost limit exceeded");
}

/// Estimates that upstream's tests hold fast
/// (k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/compilation_test.go: TestCostEstimation, with sizes of
/// declarations put in).
#[test]
fn estimates() {
    let number = Decl::scalar(Type::Int, 1, 0);
    for (decl, source, expected) in [
        (list(number.clone(), Merge::Atomic, 10), "self.all(x, true)", 32),
        (list(number.clone(), Merge::Atomic, 10), "self.all(x, self.all(y, self.all(z, true)))", 3552),
        (Decl::scalar(Type::String, 2, 20), "self.contains('test')", 3),
        (Decl::scalar(Type::String, 2, 3_145_726), "self.startsWith('12345678901')", 3),
    ] {
        let program = Program::compile(source, &[Variable::declared("self", &decl)]).unwrap();
        assert_eq!(program.cost_max(), expected, "{source}");
    }
}
