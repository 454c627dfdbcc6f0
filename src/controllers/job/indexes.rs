//! Completion indexes: sets of small numbers, written as `0,2-5`, and the marks on the pods of an Indexed job.

use alcove_object::{Value, meta};
use serde_json::json;
use std::collections::BTreeSet;

const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// Pod hostnames are DNS labels.
const HOSTNAME_MAX: usize = 63;

/// The index of a pod of an Indexed job.
pub fn of(pod: &Value) -> Option<u32> {
    meta::annotation(pod, INDEX)?.parse().ok()
}

/// Reads `0,2-5`; what is not understood, and indexes from `end` on, are passed over.
pub fn parse(text: &str, end: u32) -> BTreeSet<u32> {
    let ranges = text.split(',').filter_map(|part| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        Some(from.parse::<u32>().ok()?..to.parse::<u32>().ok()?.saturating_add(1).min(end))
    });
    ranges.flatten().collect()
}

/// Writes a set as `0,2-5`. Two neighbours are written `0,1`, as upstream does.
pub fn format(indexes: &BTreeSet<u32>) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for &index in indexes {
        match ranges.last_mut() {
            Some((_, to)) if *to + 1 == index => *to = index,
            _ => ranges.push((index, index)),
        }
    }
    let texts = ranges.into_iter().map(|(from, to)| match to - from {
        0 => from.to_string(),
        1 => format!("{from},{to}"),
        _ => format!("{from}-{to}"),
    });
    texts.collect::<Vec<_>>().join(",")
}

/// Gives a pod its index: annotation, label, hostname, environment, name.
pub fn mark(pod: &mut Value, job: &str, index: u32) {
    let text = index.to_string();
    pod["metadata"]["annotations"][INDEX] = text.clone().into();
    pod["metadata"]["labels"][INDEX] = text.clone().into();
    pod["metadata"]["generateName"] = format!("{job}-{index}-").into();
    let tail = format!("-{index}");
    let head: String = job.chars().take(HOSTNAME_MAX - tail.len()).collect();
    pod["spec"]["hostname"] = format!("{head}{tail}").into();
    let variable = json!({ "name": "JOB_COMPLETION_INDEX",
        "valueFrom": { "fieldRef": { "fieldPath": format!("metadata.labels['{INDEX}']") } } });
    for list in ["initContainers", "containers"] {
        let containers = pod["spec"].get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let Some(container) = container.as_object_mut() else { continue };
            let env = container.entry("env").or_insert_with(|| json!([]));
            if let Some(env) = env.as_array_mut().filter(|e| e.iter().all(|v| v["name"] != variable["name"]))
            {
                env.push(variable.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_read_as_they_are_written() {
        for text in ["", "0", "0,1", "0-2", "0,2-5,9", "3,4,6-8"] {
            assert_eq!(format(&parse(text, 10)), text);
        }
    }

    #[test]
    fn indexes_end_where_the_job_does() {
        for (text, expected) in [("0-4294967295", "0-2"), ("2-7", "2"), ("3", ""), ("5-1,x,1", "1")] {
            assert_eq!(format(&parse(text, 3)), expected, "{text}");
        }
    }
}
