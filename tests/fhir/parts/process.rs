//! A program that reads lines and writes lines. It ends when its stdin does, so also when the test run ends, however that does.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

/// For a program's next line. Java is compiled as it starts, on a machine that may be busy.
const LIMIT: Duration = Duration::from_secs(180);

pub(super) struct Process {
    name: String,
    child: Child,
    stdin: Option<BufWriter<ChildStdin>>,
    lines: mpsc::Receiver<String>,
    errors: Arc<Mutex<String>>,
}

impl Process {
    pub(super) fn start(program: &Path, arguments: &[&str]) -> Self {
        let name = format!("{} {}", program.display(), arguments.join(" "));
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let stdin = child.stdin.take().map(BufWriter::new);
        let stdout = child.stdout.take().expect("piped");
        let stderr = child.stderr.take().expect("piped");
        let (tell, lines) = mpsc::sync_channel(1000);
        thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            let _ = lines.map(|line| tell.send(line)).find(Result::is_err); // nobody listens any more
        });
        let errors = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&errors);
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        Self {
            name,
            child,
            stdin,
            lines,
            errors,
        }
    }

    /// Its next line.
    #[track_caller]
    pub(super) fn line(&self) -> String {
        self.lines.recv_timeout(LIMIT).unwrap_or_else(|error| {
            let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
            panic!(
                "{}: no line: {error}\n---- stderr ----\n{errors}----",
                self.name
            )
        })
    }

    /// Writes these lines, and reads one for each meanwhile: a program that is not read from stops reading.
    #[track_caller]
    pub(super) fn ask(&mut self, questions: &[String]) -> Vec<String> {
        let mut stdin = self.stdin.take().expect("not yet closed");
        let (stdin, answers) = thread::scope(|scope| {
            let writing = scope.spawn(move || {
                for question in questions {
                    let _ = writeln!(stdin, "{question}"); // where it has ended, `line` tells
                }
                let _ = stdin.flush();
                stdin
            });
            let answers = questions.iter().map(|_| self.line()).collect();
            (writing.join().expect("no panic"), answers)
        });
        self.stdin = Some(stdin);
        answers
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
