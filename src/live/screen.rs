//! A run on the whole terminal.

mod terminal;
mod view;

use super::Tick;
use crate::cpu;
use crate::stage::Progress;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use view::View;

/// How often the terminal's size and the wish to end are looked at.
const LOOK: Duration = Duration::from_millis(50);

#[derive(Default)]
struct Shared {
    /// What is to be shown, and whether it has changed since it was.
    view: Mutex<(View, bool)>,
    changed: Condvar,
    over: AtomicBool,
}

/// The screen. The terminal is as it was before, once this is dropped, the process is asked to end, or a thread panics.
pub struct Screen {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Screen {
    /// Takes the terminal at standard error, until `interrupt` is set at the latest: how a run ends is told in lines.
    ///
    /// # Errors
    /// There is no terminal, or it does not do what it is told.
    pub fn open(interrupt: Arc<AtomicBool>) -> io::Result<Screen> {
        let shared = Arc::<Shared>::default();
        terminal::take()?;
        let common = shared.clone();
        let thread = thread::Builder::new().name("screen".into()).spawn(move || {
            cpu::stand_back();
            // A terminal that has gone is none to tell of.
            let _ = show(&common, &interrupt);
            terminal::give_back();
        });
        match thread {
            Ok(thread) => Ok(Screen { shared, thread: Some(thread) }),
            Err(error) => {
                terminal::give_back();
                Err(error)
            }
        }
    }

    /// One more second is over, after which bounds stand like this.
    pub fn show(&self, progress: &Progress, ticks: &[Tick]) {
        let mut view = self.shared.view.lock().unwrap_or_else(PoisonError::into_inner);
        view.0.follow(progress);
        view.0.ticks = ticks.to_vec();
        view.1 = true;
        self.shared.changed.notify_all();
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn show(shared: &Shared, interrupt: &AtomicBool) -> io::Result<()> {
    let mut terminal = Terminal::new(CrosstermBackend::new(io::stderr()))?;
    let mut size = None;
    while !shared.over.load(Ordering::Relaxed) && !interrupt.load(Ordering::Relaxed) && terminal::is_taken() {
        let view = shared.view.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = shared.changed.wait_timeout_while(view, LOOK, |view| !view.1);
        let mut view = wait.unwrap_or_else(PoisonError::into_inner).0;
        let now = terminal.size()?;
        if std::mem::take(&mut view.1) || size != Some(now) {
            size = Some(now);
            let shown = view.0.clone();
            drop(view);
            terminal.draw(|frame| shown.draw(frame))?;
        }
    }
    Ok(())
}
