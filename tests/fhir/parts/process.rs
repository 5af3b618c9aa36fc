//! A program that reads lines and writes lines. It ends when its stdin does, so also when the test run ends, however that does.

use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// For a program's next line. Java is compiled as it starts, on a machine that may be busy.
const LIMIT: Duration = Duration::from_secs(180);

pub struct Process {
    name: String,
    child: Child,
    stdin: Option<BufWriter<ChildStdin>>,
    lines: mpsc::Receiver<String>,
    errors: Option<thread::JoinHandle<String>>,
}

impl Process {
    pub fn start(program: &Path, arguments: &[&str]) -> Self {
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
        let mut stderr = child.stderr.take().expect("piped");
        let (tell, lines) = mpsc::sync_channel(1000);
        thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            let _ = lines.map(|line| tell.send(line)).find(Result::is_err); // nobody listens any more
        });
        let errors = thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text); // what came until it was killed
            String::from_utf8_lossy(&text).into_owned()
        });
        Self {
            name,
            child,
            stdin,
            lines,
            errors: Some(errors),
        }
    }

    /// Its next line.
    #[track_caller]
    pub fn line(&mut self) -> String {
        match self.lines.recv_timeout(LIMIT) {
            Ok(line) => line,
            Err(error) => {
                let words = self.end();
                panic!("{}: no line: {error}\n{words}", self.name)
            }
        }
    }

    /// Ends it; what it wrote to stderr.
    fn end(&mut self) -> String {
        drop(self.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
        let errors = self.errors.take().map(thread::JoinHandle::join);
        errors.and_then(Result::ok).unwrap_or_default()
    }

    /// Writes these lines, and reads one for each meanwhile: a program that is not read from stops reading.
    #[track_caller]
    pub fn ask(&mut self, questions: &[String]) -> Vec<String> {
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
        self.end();
    }
}
