//! Stack traces of five languages: which lines go on with the event before them.

/// Whose traces are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    Java,
    Python,
    Go,
    Rust,
    Node,
}

/// Follows one event line by line.
#[derive(Debug)]
pub struct Trace {
    language: Language,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No trace has begun.
    Outside,
    /// In one.
    Inside,
    /// What comes next belongs to it, whatever it is: a panic's message.
    Next,
    /// The line that ends a trace was seen; only another one may follow.
    Ended,
}

impl Trace {
    pub fn new(language: Language) -> Self {
        Self {
            language,
            state: State::Outside,
        }
    }

    pub fn reset(&mut self) {
        self.state = State::Outside;
    }

    /// The first line of an event.
    pub fn begin(&mut self, line: &[u8]) {
        self.state = State::Outside;
        self.state = match self.language {
            Language::Python if is_traceback(line) => State::Inside,
            Language::Go if is_panic(line) => State::Inside,
            Language::Rust if is_rust_panic(line) => State::Next,
            _ => State::Outside,
        };
    }

    /// Whether a line goes on with the event.
    pub fn continues(&mut self, line: &[u8]) -> bool {
        match self.language {
            Language::Java => java(line),
            Language::Node => node(line),
            Language::Python => self.python(line),
            Language::Go => self.go(line),
            Language::Rust => self.rust(line),
        }
    }

    /// `Traceback (most recent call last):`, indented lines, and one line `ValueError: …` that ends
    /// it; a chain has an empty line and a sentence between.
    fn python(&mut self, line: &[u8]) -> bool {
        if is_traceback(line) {
            self.state = State::Inside;
            return true;
        }
        let between = line.starts_with(b"During handling of the above exception")
            || line.starts_with(b"The above exception was the direct cause");
        match self.state {
            State::Ended if between => true,
            State::Ended if line.is_empty() => true,
            State::Inside if indented(line) => true,
            State::Inside => {
                self.state = State::Ended;
                true
            }
            // `  + Exception Group Traceback`, notes of an exception.
            _ => indented(line),
        }
    }

    /// `panic: …` or `fatal error: …`, then goroutines: names with parentheses, indented places.
    fn go(&mut self, line: &[u8]) -> bool {
        if is_panic(line) {
            // A panic while panicking belongs to the first; another event's begins a new one.
            let goes_on = self.state == State::Inside;
            self.state = State::Inside;
            return goes_on;
        }
        if self.state != State::Inside {
            return line.first() == Some(&b'\t');
        }
        let goes_on = line.is_empty()
            || indented(line)
            || line.starts_with(b"goroutine ")
            || line.starts_with(b"created by ")
            || line.starts_with(b"[signal ")
            || line.starts_with(b"[originating ")
            || line.starts_with(b"exit status ")
            || line.starts_with(b"runtime.")
            || line.starts_with(b"...")
            || (line.ends_with(b")") && !line.contains(&b' '))
            || line.starts_with(b"main.") && line.ends_with(b")")
            || is_call(line);
        if !goes_on {
            self.state = State::Outside;
        }
        goes_on
    }

    /// `thread 'main' panicked at src/main.rs:2:5:`, the message, `stack backtrace:` and its frames.
    fn rust(&mut self, line: &[u8]) -> bool {
        match self.state {
            State::Next => {
                self.state = State::Inside;
                true
            }
            State::Inside => {
                let goes_on = indented(line)
                    || line.starts_with(b"stack backtrace:")
                    || line.starts_with(b"note: ")
                    || line.starts_with(b"  left:")
                    || line.starts_with(b" right:");
                if !goes_on {
                    self.state = State::Outside;
                }
                goes_on
            }
            // Debug output of errors: `Caused by:` and indented lines.
            _ => indented(line) || line == b"Caused by:" || line == b"Stack backtrace:",
        }
    }
}

fn indented(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t'))
}

fn is_traceback(line: &[u8]) -> bool {
    line.trim_ascii_start()
        .starts_with(b"Traceback (most recent call last):")
}

fn is_panic(line: &[u8]) -> bool {
    [&b"panic: "[..], b"fatal error: ", b"http: panic serving "]
        .iter()
        .any(|start| line.starts_with(start))
        || memchr::memmem::find(line, b" http: panic serving ").is_some()
}

fn is_rust_panic(line: &[u8]) -> bool {
    line.starts_with(b"thread '") && memchr::memmem::find(line, b" panicked at ").is_some()
}

/// `example.com/kai/booking.(*Hold).Expire(0xc0000)`: a path, a dot, a name, parentheses.
fn is_call(line: &[u8]) -> bool {
    line.ends_with(b")")
        && memchr::memchr(b'(', line).is_some_and(|at| {
            let name = &line[..at];
            memchr::memchr(b'.', name).is_some() && !name.contains(&b' ')
        })
}

/// `\tat …`, `\t... 12 more`, `Caused by: …`, `Suppressed: …`, and the exception itself on a line
/// of its own, `java.lang.IllegalStateException: …`.
fn java(line: &[u8]) -> bool {
    if indented(line) {
        return true;
    }
    if line.starts_with(b"Caused by: ") || line.starts_with(b"Suppressed: ") {
        return true;
    }
    let end = line
        .iter()
        .position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$')))
        .unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    let exception = [&b"Exception"[..], b"Error", b"Throwable"]
        .iter()
        .any(|suffix| name.ends_with(suffix));
    exception && name.contains(&b'.') && (rest.is_empty() || rest.starts_with(b":"))
}

/// `    at f (file.js:1:2)`, the members of the error that is printed, its closing brace.
fn node(line: &[u8]) -> bool {
    indented(line) || matches!(line, b"}" | b"]" | b"})" | b"}," | b"]}")
}
