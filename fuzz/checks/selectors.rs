//! Selectors of labels and of fields.

use alcove_object::Value;
use alcove_object::selector::{Fields, Labels, escape_field_value};

/// A text as both kinds of selector, and as the selector of an object if it is JSON.
pub fn selector(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(labels) = Labels::parse(text) {
        prints_as_it_reads(&labels);
    }
    if let Ok(selector) = serde_json::from_str::<Value>(text)
        && let Ok(Some(mut labels)) = Labels::from_object(Some(&selector))
    {
        let _either = labels.matches_object(&selector);
        // Values of an object come in any order and any number; the printed text is sorted.
        labels.0.iter_mut().for_each(|requirement| {
            requirement.values.sort_unstable();
            requirement.values.dedup();
        });
        prints_as_it_reads(&labels);
    }
    if let Ok(fields) = Fields::parse(text) {
        let terms = fields.0.iter().map(|term| {
            let operator = if term.negated { "!=" } else { "=" };
            format!("{}{operator}{}", term.field, escape_field_value(&term.value))
        });
        let printed = terms.collect::<Vec<_>>().join(",");
        let mut read = Fields::parse(&printed).expect("what was printed can be read");
        // They are sorted by their text, which has another operator now.
        let mut expected = fields;
        let order = |term: &alcove_object::selector::FieldTerm| {
            (term.field.clone(), term.value.clone(), term.negated)
        };
        read.0.sort_by_key(order);
        expected.0.sort_by_key(order);
        assert_eq!(read, expected, "{printed:?}");
    }
}

fn prints_as_it_reads(labels: &Labels) {
    let printed = labels.to_string();
    assert_eq!(Labels::parse(&printed).as_ref(), Ok(labels), "{printed:?}");
    let _either = labels.matches(|key| (key.len() % 2 == 0).then_some("1"));
}
