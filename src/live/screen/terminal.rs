//! The terminal's state, which is given back however the process ends.

use ratatui::crossterm::{cursor, execute, terminal};
use rustix::termios::{self, LocalModes, OptionalActions, QueueSelector, Termios};
use std::io;
use std::panic;
use std::sync::{Mutex, Once, PoisonError};

/// How the terminal was, while it is taken.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Clears the terminal for a screen. What is typed shows no more, and Ctrl-C is SIGINT as ever.
pub fn take() -> io::Result<()> {
    let before = termios::tcgetattr(io::stderr())?;
    let mut quiet = before.clone();
    quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON);
    termios::tcsetattr(io::stderr(), OptionalActions::Now, &quiet)?;
    *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // What it says is to be read.
            give_back();
            hook(info);
        }));
    });
    execute!(io::stderr(), terminal::EnterAlternateScreen, cursor::Hide).inspect_err(|_| give_back())
}

/// Whether nobody has given it back yet.
pub fn is_taken() -> bool {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner).is_some()
}

/// Makes the terminal what it was; nothing where it is already.
pub fn give_back() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(before) = before else { return };
    // A terminal that has gone needs nothing.
    let _ = execute!(io::stderr(), cursor::Show, terminal::LeaveAlternateScreen);
    let _ = termios::tcflush(io::stderr(), QueueSelector::IFlush);
    let _ = termios::tcsetattr(io::stderr(), OptionalActions::Now, &before);
}
