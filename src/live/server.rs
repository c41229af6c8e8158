//! Answers who scrapes.

use super::exposition::Format;
use super::snapshot::Snapshot;
use crate::cpu;
use crate::stage::Progress;
use crate::stats::Counters;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A request's longest head,
const LONGEST: usize = 16 << 10;
/// and the longest that a request may take: there is one at a time.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is scraped, and whether its end was.
#[derive(Default)]
struct Board {
    snapshot: Snapshot,
    last_was_had: bool,
}

#[derive(Default)]
struct Shared {
    board: Mutex<Board>,
    had: Condvar,
}

impl Shared {
    fn board(&self) -> MutexGuard<'_, Board> {
        // A board is whole between any two of its changes.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shows a run under `/metrics` of an HTTP server, until the process ends.
pub struct Exporter {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl Exporter {
    /// Listens at `address`.
    ///
    /// # Errors
    /// An address that is not this machine's, or a port that somebody has.
    pub fn open(address: SocketAddr) -> io::Result<Exporter> {
        let listener = TcpListener::bind(address)?;
        let exporter = Exporter { shared: Arc::default(), address: listener.local_addr()? };
        let shared = exporter.shared.clone();
        thread::Builder::new().name("metrics".into()).spawn(move || serve(&listener, &shared))?;
        Ok(exporter)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// One more second is over.
    pub fn show(&self, progress: &Progress) {
        self.shared.board().snapshot.follow(progress);
    }

    /// The run is over, and this is what its record has.
    pub fn conclude(&self, counts: &Counters, exit_code: u8) {
        self.shared.board().snapshot.conclude(counts, exit_code);
    }

    /// Waits until somebody has had the end of the run, so long at most, and not when somebody wants the process to end.
    pub fn linger(&self, longest: Duration, interrupt: &AtomicBool) {
        let (mut board, end) = (self.shared.board(), Instant::now() + longest);
        while !board.last_was_had && Instant::now() < end && !interrupt.load(Ordering::Relaxed) {
            let look = Duration::from_millis(50).min(end.saturating_duration_since(Instant::now()));
            board = self.shared.had.wait_timeout(board, look).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn serve(listener: &TcpListener, shared: &Shared) {
    cpu::stand_back();
    for stream in listener.incoming() {
        match stream {
            // Whoever does not listen to the answer has had none.
            Ok(stream) => drop(answer(stream, shared)),
            // Descriptors that have run out come back.
            Err(_) => thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// What somebody wants.
#[derive(PartialEq, Eq, Debug)]
enum Wish {
    Metrics { format: Format, head: bool },
    Nothing { status: &'static str },
}

fn answer(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let end = Instant::now() + PATIENCE;
    stream.set_write_timeout(Some(PATIENCE))?;
    let wish = read(&mut stream, end)?;
    let (status, format, body, head, last) = match wish {
        Wish::Metrics { format, head } => {
            // The board is free again before anything is written down.
            let snapshot = shared.board().snapshot.clone();
            let last = snapshot.exit_code.is_some();
            ("200 OK", format.content_type(), format.write(snapshot), head, last)
        }
        Wish::Nothing { status } => (status, "text/plain", format!("{status}\n").into_bytes(), false, false),
    };
    let length = body.len();
    let lines = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {format}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(lines.as_bytes())?;
    if !head {
        stream.write_all(&body)?;
        stream.flush()?;
        if last {
            shared.board().last_was_had = true;
            shared.had.notify_all();
        }
    }
    Ok(())
}

fn read(stream: &mut TcpStream, end: Instant) -> io::Result<Wish> {
    let (mut bytes, mut part) = (Vec::new(), [0; 2048]);
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Wish::Nothing { status: "408 Request Timeout" });
        }
        stream.set_read_timeout(Some(left))?;
        let count = stream.read(&mut part)?;
        bytes.extend_from_slice(&part[..count]);
        match parse(&bytes) {
            Some(wish) => return Ok(wish),
            None if count == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            None => {}
        }
    }
}

/// What is wanted, once all of it is there.
fn parse(bytes: &[u8]) -> Option<Wish> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Partial) if bytes.len() < LONGEST => return None,
        Ok(httparse::Status::Complete(_)) => {}
        _ => return Some(Wish::Nothing { status: "400 Bad Request" }),
    }
    let head = request.method == Some("HEAD");
    if !head && request.method != Some("GET") {
        return Some(Wish::Nothing { status: "405 Method Not Allowed" });
    }
    if request.path?.split('?').next() != Some("/metrics") {
        return Some(Wish::Nothing { status: "404 Not Found" });
    }
    let accept = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("accept"));
    let accept = accept.map_or("".into(), |header| String::from_utf8_lossy(header.value));
    Some(Wish::Metrics { format: Format::accepted(&accept), head })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(exporter: &Exporter, request: &str) -> String {
        let mut stream = TcpStream::connect(exporter.address()).expect("it listens");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers and closes");
        answer
    }

    fn exporter() -> Exporter {
        Exporter::open("127.0.0.1:0".parse().expect("an address")).expect("a free port")
    }

    #[test]
    fn the_last_second_is_what_is_scraped_and_then_the_record() {
        let (exporter, counts) = (exporter(), |sent| Counters { sent, ..Counters::default() });
        exporter.show(&Progress { total: counts(5), ..Progress::default() });
        let answer = ask(&exporter, "GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text;"), "{head}");
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
        assert!(body.contains("\nmalaria_sent_total 5\n") && body.ends_with("# EOF\n"), "{body}");
        exporter.conclude(&counts(6), 7);
        assert!(!exporter.shared.board().last_was_had, "that was not the end");
        let answer = ask(&exporter, "HEAD /metrics HTTP/1.1\r\n\r\n");
        assert!(answer.ends_with("\r\n\r\n") && !exporter.shared.board().last_was_had, "{answer}");
        let answer = ask(&exporter, "GET /metrics?x=1 HTTP/1.0\r\n\r\n");
        assert!(answer.contains("\nmalaria_sent_total 6\n"), "{answer}");
        assert!(answer.contains("\nmalaria_exit_code 7.0\n"), "{answer}");
        // Somebody has had it: an hour is not waited.
        exporter.linger(Duration::from_secs(3600), &AtomicBool::new(false));
    }

    #[test]
    fn nobody_is_waited_for_who_never_comes_or_when_the_end_is_wanted() {
        exporter().linger(Duration::from_millis(1), &AtomicBool::new(false));
        exporter().linger(Duration::from_secs(3600), &AtomicBool::new(true));
    }

    #[test]
    fn what_is_no_scrape_is_told_so() {
        let exporter = exporter();
        for (request, status) in [
            ("GET / HTTP/1.1\r\n\r\n", "404"),
            ("POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "405"),
            ("\u{16}\u{3}\u{1} hello\r\n\r\n", "400"),
        ] {
            let answer = ask(&exporter, request);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
        }
        assert_eq!(parse(b"GET /metrics HTTP/1.1\r\nAccept: */*\r\n"), None, "more is to come");
        assert_eq!(parse(&[b'a'; LONGEST]), Some(Wish::Nothing { status: "400 Bad Request" }));
    }

    #[test]
    fn a_port_that_somebody_has_is_an_error() {
        let exporter = exporter();
        assert!(Exporter::open(exporter.address()).is_err());
    }
}
