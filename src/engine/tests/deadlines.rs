//! When passes are made.

use super::*;
use crate::clock::MICROSECOND;

/// Answers these deadlines, counted from its first pass, one with each pass, and stops after the last; notes
/// when the passes were.
struct Planner {
    deadlines: std::vec::IntoIter<Nanos>,
    /// Foreseen in each pass.
    foreseen: Option<Nanos>,
    start: Option<Nanos>,
    passes: Vec<Nanos>,
    /// Told of each bell.
    heard: Sender<()>,
}

impl Planner {
    /// Runs to the end; rings up to `bells` times, one after the other.
    fn run(deadlines: Vec<Nanos>, foreseen: Option<Nanos>, bells: u32) -> (Vec<Nanos>, Stats) {
        Planner::run_polling(Poll::Sleep, deadlines, foreseen, bells)
    }

    /// The same on a worker that waits so.
    fn run_polling(
        poll: Poll,
        deadlines: Vec<Nanos>,
        foreseen: Option<Nanos>,
        bells: u32,
    ) -> (Vec<Nanos>, Stats) {
        let (heard, hears) = mpsc::channel();
        let waker = Waker::new().unwrap();
        let bell = waker.clone();
        let worker = thread::spawn(move || {
            let deadlines = deadlines.into_iter();
            let mut planner = Planner { deadlines, foreseen, start: None, passes: Vec::new(), heard };
            let config = Config { poll, ..Config::new(1, waker) };
            let stats = Worker::new(config).unwrap().run(&mut planner).unwrap();
            (planner.passes, stats)
        });
        for _ in 0..bells {
            bell.wake();
            if hears.recv().is_err() {
                break;
            }
        }
        worker.join().unwrap()
    }
}

impl App for Planner {
    fn connected(&mut self, _: &mut Io, _: Conn) {}
    fn accepted(&mut self, _: &mut Io, _: Conn) {}
    fn data(&mut self, _: &mut Io, _: Conn, bytes: &[u8]) -> usize {
        bytes.len()
    }
    fn writable(&mut self, _: &mut Io, _: Conn) {}
    fn closed(&mut self, _: &mut Io, _: Conn, _: Closed) {}
    fn woken(&mut self, _: &mut Io) {
        let _ = self.heard.send(());
    }
    fn pass(&mut self, io: &mut Io) -> Option<Nanos> {
        let start = *self.start.get_or_insert(io.now());
        self.passes.push(io.now() - start);
        if let Some(foreseen) = self.foreseen {
            io.foresee(start + foreseen);
        }
        let next = self.deadlines.next().map(|deadline| start + deadline);
        if next.is_none() {
            io.stop();
        }
        next
    }
}

#[test]
fn a_deadline_is_kept_without_any_completion() {
    let deadlines: Vec<Nanos> = (1..=20).map(|n| n * MILLISECOND).collect();
    let (passes, stats) = Planner::run(deadlines.clone(), None, 0);
    assert_eq!(passes.len(), 21);
    assert!(passes[1..].iter().zip(deadlines).all(|(at, deadline)| *at >= deadline), "{passes:?}");
    // Not a busy loop: about one enter per deadline.
    assert!(stats.enters <= 60, "{} enters", stats.enters);
}

/// Stands still in its second pass, and tells the longest gap of the pass before it and of that one.
struct Staller {
    stall: Nanos,
    gaps: Vec<Nanos>,
}

impl App for Staller {
    fn connected(&mut self, _: &mut Io, _: Conn) {}
    fn accepted(&mut self, _: &mut Io, _: Conn) {}
    fn data(&mut self, _: &mut Io, _: Conn, bytes: &[u8]) -> usize {
        bytes.len()
    }
    fn writable(&mut self, _: &mut Io, _: Conn) {}
    fn closed(&mut self, _: &mut Io, _: Conn, _: Closed) {}
    fn woken(&mut self, _: &mut Io) {}
    fn pass(&mut self, io: &mut Io) -> Option<Nanos> {
        self.gaps.push(io.longest().gap_ns);
        match self.gaps.len() {
            2 => {
                while clock::now() < io.now() + self.stall {
                    std::hint::spin_loop();
                }
            }
            3 => io.stop(),
            _ => {}
        }
        Some(io.now() + 20 * MILLISECOND)
    }
}

/// A worker that sleeps has nothing to do; one that was due and did not look, for whatever reason, stood still.
#[test]
fn a_gap_is_from_when_something_was_due_until_it_was_looked_at() {
    let worker = thread::spawn(|| {
        let mut staller = Staller { stall: 120 * MILLISECOND, gaps: Vec::new() };
        Worker::new(Config::new(1, Waker::new().unwrap())).unwrap().run(&mut staller).unwrap();
        staller.gaps
    });
    let [_, asleep, stalled] = worker.join().unwrap()[..] else { panic!("three passes") };
    // 100 ms behind its deadline; a machine that takes the CPU makes either longer.
    assert!((100 * MILLISECOND..BOUND).contains(&stalled), "{stalled}");
    assert!(asleep < stalled, "{asleep} {stalled}");
}

#[test]
fn what_was_foreseen_and_comes_true_is_one_pass() {
    // Far enough apart that a stall of the machine does not make two of them one.
    let deadlines = [100, 200, 300].map(|ms| ms * MILLISECOND);
    let (passes, stats) = Planner::run(deadlines.to_vec(), Some(deadlines[1]), 0);
    assert_eq!(passes.len(), 4, "{passes:?}");
    assert!(passes[1..].iter().zip(deadlines).all(|(at, deadline)| *at >= deadline), "{passes:?}");
    assert!(stats.enters <= 6, "{} enters", stats.enters);
    // It slept nearly all the time.
    assert!(stats.code_ns > 0 && stats.code_ns < passes[3] / 2, "{} ns of {passes:?}", stats.code_ns);
}

#[test]
fn a_deadline_that_comes_closer_is_kept_however_many_are_armed() {
    // Far away, each closer than those before it, and more of them than there are timeouts: the bells end the
    // waits. After the last bell nothing but the deadline is to come.
    let mut deadlines: Vec<Nanos> = (0..50).map(|n| BOUND - n * MILLISECOND).collect();
    deadlines.push(SECOND);
    let (passes, _) = Planner::run(deadlines, None, 50);
    assert_eq!(passes.len(), 52);
    // Without a timeout left the worker does not sleep.
    assert!(passes[51] < BOUND / 2, "{passes:?}");
}

#[test]
fn what_was_foreseen_is_armed_while_the_deadline_before_it_still_is() {
    // It does not come true, so all that can end the wait for the second deadline early is its timeout.
    let late = BOUND / 2;
    let (passes, stats) = Planner::run(vec![10 * MILLISECOND, late], Some(20 * MILLISECOND), 0);
    assert_eq!(passes.len(), 3, "{passes:?}");
    // Timeouts are all that completes: of the first deadline, of what was foreseen, and of the second deadline
    // where the machine stood still for so long.
    let fired = 2 + u64::from(passes[2] >= late);
    assert_eq!(stats.completions, fired, "{passes:?}");
}

#[test]
fn who_does_not_sleep_keeps_deadlines_and_hears_bells() {
    // Each twice: the pass ahead of a deadline answers it again.
    let deadlines: Vec<Nanos> = (1..=40u64).map(|n| n.div_ceil(2) * MILLISECOND).collect();
    for poll in [Poll::Auto, Poll::Busy] {
        let (passes, stats) = Planner::run_polling(poll, deadlines.clone(), None, 0);
        assert_eq!(passes.len(), 41);
        assert!(passes[40] >= 20 * MILLISECOND, "{poll:?}: {passes:?}");
        assert_eq!(stats.spun_ns > passes[40] / 2, poll == Poll::Busy, "{poll:?}: {stats:?} {passes:?}");
        // On a busy machine nobody may wake up early enough to have something to wait for.
        let early = (900 * MICROSECOND)..(980 * MICROSECOND);
        let ahead = passes.iter().any(|pass| early.contains(&(pass % MILLISECOND)));
        assert!(stats.spun_ns > 0 || !ahead, "{poll:?}: {stats:?} {passes:?}");
        let (passes, _) = Planner::run_polling(poll, vec![BOUND; 10], None, 10);
        assert!(
            passes.len() == 11 && passes[10] < BOUND / 2,
            "{poll:?}: the bells end the waits: {passes:?}"
        );
    }
}
