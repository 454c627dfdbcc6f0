//! Completion indexes: sets of numbers, written as `0,2-5`, and the marks on the pods of an Indexed job.

use alcove_object::{Value, meta};
use serde_json::json;
use std::fmt;

const INDEX: &str = "batch.kubernetes.io/job-completion-index";
const FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
const IGNORED_FAILURES: &str = "batch.kubernetes.io/job-index-ignored-failure-count";
/// Pod hostnames are DNS labels.
const HOSTNAME_MAX: usize = 63;
/// The longest head of a name to which five characters are added.
const GENERATE_NAME_MAX: usize = HOSTNAME_MAX - 5;

/// A set of indexes, as ranges with both their ends, in order, none touching the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Indexes(Vec<(u32, u32)>);

impl Indexes {
    /// Reads `0,2-5`; what is not understood, and indexes from `end` on, are passed over.
    pub fn parse(text: &str, end: u32) -> Indexes {
        let range = |part: &str| {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            let (from, to) = (from.parse().ok()?, to.parse::<u32>().ok()?.min(end.checked_sub(1)?));
            (from <= to).then_some((from, to))
        };
        Indexes::of_ranges(text.split(',').filter_map(range).collect())
    }

    fn of_ranges(mut ranges: Vec<(u32, u32)>) -> Indexes {
        ranges.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
        for (from, to) in ranges {
            match merged.last_mut() {
                Some(last) if from <= last.1.saturating_add(1) => last.1 = last.1.max(to),
                _ => merged.push((from, to)),
            }
        }
        Indexes(merged)
    }

    /// What is in one or the other.
    pub fn union(&self, other: &Indexes) -> Indexes {
        Indexes::of_ranges(self.0.iter().chain(&other.0).copied().collect())
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(from, to)| u64::from(to - from) + 1).sum()
    }

    /// Whether this one is among them.
    pub fn contains(&self, index: u32) -> bool {
        let at = self.0.partition_point(|(_, to)| *to < index);
        self.0.get(at).is_some_and(|(from, _)| *from <= index)
    }

    /// How many are in both.
    pub fn count_common(&self, other: &Indexes) -> u64 {
        let (mut count, mut mine, mut others) = (0, self.0.as_slice(), other.0.as_slice());
        while let ([a, rest_of_mine @ ..], [b, rest_of_others @ ..]) = (mine, others) {
            let (from, to) = (a.0.max(b.0), a.1.min(b.1));
            count += (u64::from(to) + 1).saturating_sub(from.into());
            (mine, others) = if a.1 < b.1 { (rest_of_mine, others) } else { (mine, rest_of_others) };
        }
        count
    }

    /// Those below `end` that are not in the set, in order.
    pub fn missing(&self, end: u32) -> impl Iterator<Item = u32> {
        let mut from = 0;
        self.0.iter().copied().chain([(end, end)]).flat_map(move |(first, last)| {
            let gap = from..first.min(end);
            from = last.saturating_add(1);
            gap
        })
    }
}

impl FromIterator<u32> for Indexes {
    fn from_iter<I: IntoIterator<Item = u32>>(indexes: I) -> Indexes {
        Indexes::of_ranges(indexes.into_iter().map(|index| (index, index)).collect())
    }
}

impl fmt::Display for Indexes {
    /// Two neighbours are written `0,1`, as upstream does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (from, to)) in self.0.iter().enumerate() {
            f.write_str(if at > 0 { "," } else { "" })?;
            match to - from {
                0 => write!(f, "{from}")?,
                1 => write!(f, "{from},{to}")?,
                _ => write!(f, "{from}-{to}")?,
            }
        }
        Ok(())
    }
}

/// How often pods of an index failed so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// Those that count towards the index's limit.
    pub counted: u32,
    /// Those that the failure policy ignores.
    pub ignored: u32,
}

/// The index of a pod of an Indexed job.
pub fn of(pod: &Value) -> Option<u32> {
    let index = meta::annotation(pod, INDEX)?.parse().ok()?;
    i32::try_from(index).ok().map(|_| index)
}

/// What a pod says of the failures before it. What is not understood counts as none.
pub fn failures_before(pod: &Value) -> Failures {
    let count = |key: &str| meta::annotation(pod, key).and_then(|c| c.parse::<i32>().ok());
    let count = |key: &str| count(key).and_then(|c| u32::try_from(c).ok()).unwrap_or(0);
    Failures { counted: count(FAILURES), ignored: count(IGNORED_FAILURES) }
}

/// Gives a pod its index: annotation, label, hostname, environment, name.
pub fn mark(pod: &mut Value, job: &str, index: u32) {
    let text = index.to_string();
    pod["metadata"]["annotations"][INDEX] = text.clone().into();
    pod["metadata"]["labels"][INDEX] = text.clone().into();
    let headed = |tail: &str, max: usize| -> String {
        job.chars().take(max - tail.len()).chain(tail.chars()).collect()
    };
    pod["metadata"]["generateName"] = headed(&format!("-{index}-"), GENERATE_NAME_MAX).into();
    pod["spec"]["hostname"] = headed(&format!("-{index}"), HOSTNAME_MAX).into();
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

/// Tells a pod of the failures before it.
pub fn mark_failures(pod: &mut Value, failures: Failures) {
    pod["metadata"]["annotations"][FAILURES] = failures.counted.to_string().into();
    if failures.ignored > 0 {
        pod["metadata"]["annotations"][IGNORED_FAILURES] = failures.ignored.to_string().into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_read_as_they_are_written() {
        for text in ["", "0", "0,1", "0-2", "0,2-5,9", "3,4,6-8"] {
            assert_eq!(Indexes::parse(text, 10).to_string(), text);
        }
    }

    #[test]
    fn indexes_end_where_the_job_does() {
        for (text, expected) in [("0-4294967295", "0-2"), ("2-7", "2"), ("3", ""), ("5-1,x,1", "1")] {
            assert_eq!(Indexes::parse(text, 3).to_string(), expected, "{text}");
        }
        assert_eq!(Indexes::parse("0", 0).count(), 0);
    }

    #[test]
    fn sets_are_joined_compared_and_filled() {
        let set = |text: &str| Indexes::parse(text, u32::MAX);
        for (a, b, union, common, missing) in [
            ("", "", "", 0, "0-7"),
            ("0-2", "3", "0-3", 0, "4-7"),
            ("1,5-6", "0-5", "0-6", 2, "7"),
            ("2,4,6", "2-4,6", "2-4,6", 3, "0,1,5,7"),
            ("0-9", "4", "0-9", 1, ""),
        ] {
            let both = set(a).union(&set(b));
            assert_eq!(both.to_string(), union);
            assert_eq!(set(a).count_common(&set(b)), common, "{a} {b}");
            assert_eq!(both.missing(8).collect::<Indexes>().to_string(), missing, "{a} {b}");
            assert!((0..12).all(|i| both.contains(i) == (set(a).contains(i) || set(b).contains(i))));
        }
    }

    #[test]
    fn a_long_name_leaves_room_for_the_index() {
        let mut pod = json!({ "metadata": {}, "spec": {} });
        mark(&mut pod, &"j".repeat(63), 12);
        assert_eq!(pod["metadata"]["generateName"], format!("{}-12-", "j".repeat(54)));
        assert_eq!(pod["spec"]["hostname"], format!("{}-12", "j".repeat(60)));
    }
}
