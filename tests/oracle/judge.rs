//! The judge: a process that answers for upstream's own libraries, a line of JSON for a line of JSON.

use alcove_object::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Questions that are on their way at once. Few enough that neither side waits for a full pipe for ever.
const BATCH_QUESTIONS: usize = 64;

/// The running process.
pub struct Judge {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Judge {
    /// Builds the judge if need be and starts it. `Err`: why there is none on this machine.
    pub fn start() -> Result<Judge, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let version = Command::new("go").arg("version").output();
        version.map_err(|error| format!("Go is not there ({error})"))?;
        let folder = root.join(".cache/oracle");
        let built = Command::new(root.join("tests/oracle/judge/build.sh")).arg(&folder).status();
        let built = built.expect("the build script can be run");
        assert!(built.success(), "the judge could not be built");
        let mut child = Command::new(folder.join("judge"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("what was built can be run");
        let (to, from) = (child.stdin.take(), child.stdout.take());
        Ok(Judge { child, to, from: BufReader::new(from.expect("stdout is piped")) })
    }

    /// The answers to these questions, in their order.
    pub fn ask(&mut self, questions: &[Value]) -> Vec<Value> {
        let to = self.to.as_mut().expect("stdin is piped");
        let mut answers = Vec::with_capacity(questions.len());
        for batch in questions.chunks(BATCH_QUESTIONS) {
            let lines: Vec<String> = batch.iter().map(|question| format!("{question}\n")).collect();
            // The judge reads while it answers, so writing must not wait for reading.
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    lines.iter().try_for_each(|line| to.write_all(line.as_bytes())).expect("the judge reads");
                    to.flush().expect("the judge reads");
                });
                for _ in batch {
                    let mut line = String::new();
                    self.from.read_line(&mut line).expect("the judge writes");
                    answers.push(serde_json::from_str(&line).expect("the judge writes JSON"));
                }
            });
        }
        answers
    }

    /// The answer to one question.
    pub fn ask_one(&mut self, question: Value) -> Value {
        self.ask(&[question]).remove(0)
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        drop(self.to.take());
        let _it_ends_with_its_input = self.child.wait();
    }
}
