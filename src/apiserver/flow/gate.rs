//! Where requests are classified and get their seats.

use super::bootstrap::{self, CATCH_ALL};
use super::matching::{Counts, Schema};
use super::seats::{Account, Answer, Book, Level, Seated, Wanted};
use crate::metrics::head;
use crate::request::RequestInfo;
use crate::user::User;
use alcove_object::gather::Gather;
use alcove_object::{Value, meta};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::time::Duration;
use tokio::sync::oneshot;

/// Why a request got no seat, as metrics name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// Its queue was full.
    QueueFull,
    /// Its level does not queue and has no seat.
    ConcurrencyLimit,
    /// It waited for as long as it may.
    TimeOut,
}

const REJECTIONS: [(Rejection, &str); 3] = [
    (Rejection::QueueFull, "queue-full"),
    (Rejection::ConcurrencyLimit, "concurrency-limit"),
    (Rejection::TimeOut, "time-out"),
];

/// The seats of a server, and who gets them.
pub struct Gate {
    /// In the order in which they are tried. The last takes everybody.
    schemas: ArcSwap<Vec<Arc<Schema>>>,
    book: Mutex<Book<oneshot::Sender<Permit>>>,
    /// How many wait, so that who gives a seat back knows without the lock whether anybody cares.
    waiting: AtomicUsize,
    hasher: RandomState,
}

/// Seats that a request has; given back when dropped.
pub struct Permit {
    gate: Arc<Gate>,
    level: Arc<Level>,
    seats: u32,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.level.give_back(self.seats);
        self.gate.pass_on();
    }
}

/// One who stands in a queue, and leaves it when dropped.
struct Queued<'a> {
    gate: &'a Arc<Gate>,
    level: &'a str,
    id: u64,
    seated: oneshot::Receiver<Permit>,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        if self.gate.book.lock().forget(self.level, self.id) {
            self.gate.waiting.fetch_sub(1, SeqCst);
        }
    }
}

impl Gate {
    /// The gate of a server with so many seats, which knows nothing but what is mandatory.
    pub fn new(seats: u32) -> Arc<Gate> {
        let gate = Gate {
            schemas: ArcSwap::default(),
            book: Mutex::new(Book::new(seats)),
            waiting: AtomicUsize::new(0),
            hasher: RandomState::new(),
        };
        let gate = Arc::new(gate);
        gate.configure(&[], &[]);
        gate
    }

    /// Takes these objects from now on. What is mandatory and missing is made up.
    pub fn configure(self: &Arc<Self>, levels: &[Value], schemas: &[Value]) {
        let (made_up_levels, made_up_schemas) = (bootstrap::levels(), bootstrap::schemas());
        let (levels, schemas) = (with(levels, &made_up_levels), with(schemas, &made_up_schemas));
        let read = |level: &&Value| Some((meta::name(level).to_owned(), Wanted::read(&level["spec"])?));
        let wanted: BTreeMap<String, Wanted> = levels.iter().filter_map(read).gather();
        let uids: BTreeMap<&str, &str> = levels.iter().map(|l| (meta::name(l), meta::uid(l))).gather();
        let before = self.schemas.load_full();
        let counts = |name: &str| -> Arc<Counts> {
            let known = before.iter().find(|schema| schema.name == name);
            known.map(|schema| schema.counts.clone()).unwrap_or_default()
        };
        let mut book = self.book.lock();
        let left = book.set(&wanted);
        let read = |schema: &&Value| {
            let name = schema.pointer("/spec/priorityLevelConfiguration/name")?.as_str()?;
            let level = book.level(name)?.clone();
            let uid = uids.get(name).copied().unwrap_or_default();
            Schema::read(schema, level, uid, counts(meta::name(schema))).map(Arc::new)
        };
        let mut read: Vec<Arc<Schema>> = schemas.iter().filter_map(read).collect();
        read.sort_by(|a, b| (a.precedence, &a.name).cmp(&(b.precedence, &b.name)));
        self.schemas.store(Arc::new(read));
        drop(book);
        self.waiting.fetch_sub(left.len(), SeqCst);
        left.into_iter().for_each(|seated| self.tell(seated));
        self.pass_on();
    }

    /// The schema of a request.
    pub fn classify(&self, info: &RequestInfo, user: &User) -> Arc<Schema> {
        let schemas = self.schemas.load();
        let taken = schemas.iter().find(|schema| schema.takes(info, user));
        // The catch-all takes everybody who is somebody or nobody; who is neither gets its limits.
        let all = || schemas.iter().find(|schema| schema.name == CATCH_ALL);
        taken.or_else(all).expect("what is missing of the mandatory schemas is made up").clone()
    }

    /// Seats for a request of a schema. Waits in a queue for at most `patience`.
    pub async fn seat(
        self: &Arc<Self>,
        schema: &Schema,
        request: (&RequestInfo, &User),
        seats: u32,
        patience: Duration,
    ) -> Result<Permit, Rejection> {
        let level = &schema.level;
        let permit = || Permit { gate: self.clone(), level: level.clone(), seats };
        let given = if level.is_exempt {
            level.take(seats);
            Ok(permit())
        } else if level.take_kept(seats) {
            Ok(permit())
        } else {
            let flow = (&schema.name, schema.flow(request.0, request.1));
            self.ask(level, seats, self.hasher.hash_one(flow), permit, patience).await
        };
        match given {
            Ok(_) => schema.counts.dispatched.fetch_add(1, Relaxed),
            Err(why) => schema.counts.rejected[why as usize].fetch_add(1, Relaxed),
        };
        given
    }

    async fn ask(
        self: &Arc<Self>,
        level: &Level,
        seats: u32,
        hash: u64,
        permit: impl Fn() -> Permit,
        patience: Duration,
    ) -> Result<Permit, Rejection> {
        let (sender, seated) = oneshot::channel();
        // Said before anybody looks: who gives a seat back after this look sees that somebody waits.
        self.waiting.fetch_add(1, SeqCst);
        let answer = self.book.lock().ask(&level.name, seats, hash, sender);
        let Answer::Queued(id) = answer else {
            self.waiting.fetch_sub(1, SeqCst);
            return match answer {
                Answer::Full => Err(Rejection::QueueFull),
                Answer::Seated => Ok(permit()),
                Answer::Queued(_) | Answer::Busy => Err(Rejection::ConcurrencyLimit),
            };
        };
        let mut queued = Queued { gate: self, level: &level.name, id, seated };
        // A seat may have come back while this one looked for it.
        self.pass_on();
        match tokio::time::timeout(patience, &mut queued.seated).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(Rejection::TimeOut),
        }
    }

    /// Gives seats that are free to those who wait.
    fn pass_on(self: &Arc<Self>) {
        while self.waiting.load(SeqCst) > 0 {
            let Some(seated) = self.book.lock().next() else { return };
            self.waiting.fetch_sub(1, SeqCst);
            self.tell(seated);
        }
    }
}

impl Gate {
    /// Tells one who waited that there are seats. Whoever left gives them back by that.
    fn tell(self: &Arc<Self>, seated: Seated<oneshot::Sender<Permit>>) {
        let permit = Permit { gate: self.clone(), level: seated.level, seats: seated.seats };
        drop(seated.who.send(permit));
    }

    /// Writes the numbers of levels and schemas under upstream's names.
    pub fn render(&self, out: &mut String) {
        const PREFIX: &str = "apiserver_flowcontrol_";
        let book = self.book.lock();
        let levels: Vec<(String, [u32; 7])> = book.accounts().map(numbers).collect();
        drop(book);
        let told = [
            ("nominal_limit_seats", "Seats that a level has by its shares."),
            ("lower_limit_seats", "Seats that a level never lends."),
            ("upper_limit_seats", "Seats that a level has when it borrows all it may."),
            ("current_limit_seats", "Seats that a level may have now."),
            ("current_executing_seats", "Seats that are taken."),
            ("current_executing_requests", "Requests that have seats."),
            ("current_inqueue_requests", "Requests that wait."),
        ];
        for (at, (name, help)) in told.iter().enumerate() {
            head(out, &format!("{PREFIX}{name}"), "gauge", help);
            for (level, numbers) in &levels {
                let _ = writeln!(out, "{PREFIX}{name}{{priority_level=\"{level}\"}} {}", numbers[at]);
            }
        }
        let schemas = self.schemas.load();
        let labels = |schema: &Schema| {
            format!("flow_schema=\"{}\",priority_level=\"{}\"", schema.name, schema.level.name)
        };
        head(out, &format!("{PREFIX}dispatched_requests_total"), "counter", "Requests that got seats.");
        for schema in schemas.iter() {
            let count = schema.counts.dispatched.load(Relaxed);
            let _ = writeln!(out, "{PREFIX}dispatched_requests_total{{{}}} {count}", labels(schema));
        }
        head(out, &format!("{PREFIX}rejected_requests_total"), "counter", "Requests that got none.");
        for schema in schemas.iter() {
            for (rejection, reason) in REJECTIONS {
                let count = schema.counts.rejected[rejection as usize].load(Relaxed);
                if count > 0 {
                    let labels = labels(schema);
                    let name = "rejected_requests_total";
                    let _ = writeln!(out, "{PREFIX}{name}{{{labels},reason=\"{reason}\"}} {count}");
                }
            }
        }
    }
}

fn numbers<T>(account: &Account<T>) -> (String, [u32; 7]) {
    let level = &account.level;
    let count = |number: &std::sync::atomic::AtomicU32| number.load(Relaxed);
    let numbers = [
        account.nominal,
        account.kept(),
        account.max,
        account.nominal.max(count(&level.taken)),
        count(&level.taken),
        count(&level.running),
        count(&level.waiting),
    ];
    (level.name.clone(), numbers)
}

/// Objects, and the mandatory ones of others that are not among them.
fn with<'a>(objects: &'a [Value], suggested: &'a [Value]) -> Vec<&'a Value> {
    let missing = suggested.iter().filter(|mandatory| {
        let name = meta::name(mandatory);
        bootstrap::is_mandatory(name) && !objects.iter().any(|object| meta::name(object) == name)
    });
    objects.iter().chain(missing).collect()
}
