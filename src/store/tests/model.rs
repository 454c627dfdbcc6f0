//! Random work, compared with a model that is too simple to be wrong: every state of every revision, kept whole.

#![allow(clippy::unwrap_used)]

mod common;

use alcove_store::{CommitError, Error, Op, Range, Watch};
use common::*;
use std::collections::BTreeMap;

const TABLES: [&str; 3] = ["pods", "nodes", "leases"];
const STEPS: usize = 1_500;

/// Key to revision and text, of one table at one revision.
type State = BTreeMap<String, (u64, String)>;

struct Model {
    /// All tables, by revision from 1 on.
    states: Vec<[State; 3]>,
    /// Every change as `common::line` tells it, with its table.
    log: Vec<(usize, String)>,
    floor: u64,
}

struct Reader {
    watch: Watch,
    table: usize,
    after: u64,
}

impl Model {
    fn new() -> Model {
        Model { states: vec![Default::default(); 2], log: Vec::new(), floor: 0 }
    }

    fn revision(&self) -> u64 {
        self.states.len() as u64 - 1
    }

    fn newest(&self, table: usize) -> &State {
        &self.states[self.states.len() - 1][table]
    }

    /// Does what the store should do with a transaction, or says which operation conflicts.
    fn apply(&mut self, ops: &[(usize, Op, String)]) -> Result<(), usize> {
        let (states, log) = (self.states.len(), self.log.len());
        for (n, (table, op, text)) in ops.iter().enumerate() {
            let mut state = self.states[self.states.len() - 1].clone();
            let revision = self.states.len() as u64;
            let old = state[*table].get(&*op.key).cloned();
            if old.as_ref().map(|old| old.0) != op.expect || (old.is_none() && op.put.is_none()) {
                self.states.truncate(states);
                self.log.truncate(log);
                return Err(n);
            }
            let line = match (&op.put, old) {
                (Some(_), Some((_, old))) => format!("{revision} PUT {}: {old} -> {text}", op.key),
                (Some(_), None) => format!("{revision} PUT {}: {text}", op.key),
                (None, Some((_, old))) => format!("{revision} DELETE {}: {old}", op.key),
                (None, None) => unreachable!(),
            };
            match op.put {
                Some(_) => state[*table].insert(op.key.to_string(), (revision, text.clone())),
                None => state[*table].remove(&*op.key),
            };
            self.states.push(state);
            self.log.push((*table, line));
        }
        Ok(())
    }

    /// Lines of one table after a revision.
    fn told(&self, table: usize, after: u64) -> impl Iterator<Item = &String> {
        let start = (after.max(1) as usize - 1).min(self.log.len());
        self.log[start..].iter().filter(move |(of, _)| *of == table).map(|(_, line)| line)
    }

    fn random_op(&self, random: &mut Random) -> (usize, Op, String) {
        let table = random.below(3) as usize;
        let key = format!("{}/{}", ["a", "a-b", "b"][random.below(3) as usize], random.below(6));
        let text = random.below(1000).to_string();
        let found = self.newest(table).get(&key).map(|(revision, _)| *revision);
        let expect = match random.below(20) {
            0 => Some(random.below(self.revision() + 1)),
            1 => None,
            _ => found,
        };
        let put = (random.below(4) > 0 || found.is_none()).then(|| body(&text));
        (table, Op { table: TABLES[table].into(), key: key.as_str().into(), expect, put }, text)
    }
}

async fn compare_list(model: &Model, bed: &Bed, random: &mut Random) {
    let table = random.below(3) as usize;
    let at = (random.below(3) > 0).then(|| random.below(model.revision() + 2));
    let prefix = ["", "a/", "a", "b/", "c"][random.below(5) as usize];
    let after = format!("{}/{}", ["a", "a-b", "b"][random.below(3) as usize], random.below(6));
    let after = (random.below(2) > 0).then_some(&*after);
    let limit = random.below(6) as usize;
    let range = Range { prefix, after, limit, at };
    let odd = |text: &str| text.ends_with(['1', '3', '5', '7', '9']);
    let filtered = random.below(2) > 0;
    let found = bed.store.list(TABLES[table], &range, &|e| !filtered || odd(&text(e)));
    let revision = at.unwrap_or(model.revision());
    if revision > model.revision() {
        assert_eq!(found.unwrap_err(), Error::Future { asked: revision, newest: model.revision() });
        return;
    }
    if revision < model.floor {
        assert_eq!(found.unwrap_err(), Error::Compacted { asked: revision, oldest: model.floor });
        return;
    }
    let found = found.unwrap();
    let all: Vec<_> = model.states[revision as usize][table]
        .iter()
        .filter(|(key, _)| key.starts_with(prefix) && after.is_none_or(|after| &***key > after))
        .collect();
    let mut expected = Vec::new();
    let mut remaining = 0;
    for (n, (key, (revision, text))) in all.iter().enumerate() {
        if !filtered || odd(text) {
            expected.push((key.to_string(), *revision, text.clone()));
            if expected.len() == limit {
                remaining = all.len() - n - 1;
                break;
            }
        }
    }
    let entries: Vec<_> = found.entries.iter().map(|e| (e.key.to_string(), e.revision, text(e))).collect();
    assert_eq!((entries, found.remaining, found.revision), (expected, remaining, revision), "{range:?}");
}

async fn compare_watch(model: &Model, reader: &mut Reader, random: &mut Random) -> bool {
    let expected: Vec<_> = model.told(reader.table, reader.after).collect();
    let lost = model.log.iter().zip(2..).any(|((table, _), revision)| {
        *table == reader.table && revision > reader.after && revision <= model.floor
    });
    if !lost && expected.is_empty() {
        assert_eq!(reader.watch.position(), reader.after.max(model.revision()));
        return true;
    }
    let max = 1 + random.below(5) as usize;
    match reader.watch.next(max).await.unwrap() {
        Ok(changes) => {
            assert!(!lost, "a watch that lost changes went on");
            let lines: Vec<_> = changes.iter().map(|change| line(change)).collect();
            assert_eq!(lines.iter().collect::<Vec<_>>(), expected[..expected.len().min(max)]);
            reader.after = changes[changes.len() - 1].revision;
            true
        }
        Err(error) => {
            assert!(lost, "{error} though nothing is lost after {}", reader.after);
            false
        }
    }
}

async fn agrees_with_the_model(kind: Kind) {
    let mut random = Random::seeded();
    let mut bed = Bed::new(kind);
    let mut model = Model::new();
    let mut readers: Vec<Reader> = Vec::new();
    for step in 0..STEPS {
        match random.below(100) {
            0..45 => {
                let ops: Vec<_> = (0..=random.below(4) / 2).map(|_| model.random_op(&mut random)).collect();
                let answer = bed.store.commit(ops.iter().map(|(_, op, _)| op.clone()).collect()).await;
                match (model.apply(&ops), answer) {
                    (Ok(()), Ok(entries)) => {
                        assert_eq!(entries.len(), ops.len());
                        assert_eq!(entries[entries.len() - 1].revision, model.revision());
                    }
                    (Err(n), Err(CommitError::Conflict { key, .. })) => assert_eq!(key, *ops[n].1.key),
                    (expected, found) => panic!("step {step}: {expected:?}, but {found:?}"),
                }
            }
            45..70 => compare_list(&model, &bed, &mut random).await,
            70..75 => {
                let (table, after) = (random.below(3) as usize, random.below(model.revision() + 3));
                match bed.store.watch(TABLES[table], after) {
                    Ok(watch) => {
                        assert!(after >= model.floor);
                        readers.push(Reader { watch, table, after });
                    }
                    Err(error) => assert_eq!(error, Error::Compacted { asked: after, oldest: model.floor }),
                }
            }
            75..97 if !readers.is_empty() => {
                let n = random.below(readers.len() as u64) as usize;
                if !compare_watch(&model, &mut readers[n], &mut random).await {
                    readers.remove(n);
                }
            }
            97 => {
                let floor = random.below(model.revision() + 1);
                bed.store.compact(floor).await.unwrap();
                model.floor = model.floor.max(floor);
                assert_eq!(bed.store.oldest(), model.floor.max(1));
            }
            98 if kind == Kind::Sqlite => {
                bed = bed.reopen().await;
                for reader in &mut readers {
                    // A client that resumes where it was.
                    match bed.store.watch(TABLES[reader.table], reader.after) {
                        Ok(watch) => reader.watch = watch,
                        Err(_) => assert!(reader.after < model.floor),
                    }
                }
                readers.retain(|reader| reader.after >= model.floor);
            }
            _ => assert_eq!(bed.store.revision(), model.revision()),
        }
    }
    for (table, name) in TABLES.iter().enumerate() {
        let found = contents(&bed.store, name, None);
        let expected: Vec<_> =
            model.newest(table).iter().map(|(key, (_, text))| (key.clone(), text.clone())).collect();
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn memory_agrees_with_the_model() {
    agrees_with_the_model(Kind::Memory).await;
}

#[tokio::test]
async fn sqlite_agrees_with_the_model() {
    agrees_with_the_model(Kind::Sqlite).await;
}
