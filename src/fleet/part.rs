//! The part that a client plays.

use super::listeners::{Listener, Stage};
use super::publishers::Publisher;
use super::responders::Responder;
use super::scene::{Prompt, Scene, Wall};
use super::shared::Shared;
use crate::client::Event;
use crate::crew::{After, End, Step, Token};
use crate::engine::Link;
use crate::record::{Ended, ListenEnd};
use crate::wire::{Connect, SubAck, SubAckCode};

/// A client's script, and how far it has come.
pub enum Part {
    Publisher(Box<Publisher>),
    Responder(Responder),
    Listener(Box<Listener>),
}

impl Part {
    /// Of client `index` of the fleet.
    pub fn new(shared: &Shared, index: u32) -> Part {
        match index.checked_sub(shared.publishers) {
            None => Part::Publisher(Box::new(Publisher::new(shared, index))),
            Some(number) if number < shared.responders => Part::Responder(Responder::new(shared, number)),
            Some(number) => Part::Listener(Box::new(Listener::new(shared, number - shared.responders))),
        }
    }

    /// Messages that it still expects, where that is known.
    pub fn missing(&self) -> Option<u64> {
        if let Part::Listener(listener) = self { listener.ledger.missing() } else { None }
    }

    /// The transport is up.
    pub fn connect<L: Link>(&self, scene: &mut Scene<'_, L>) {
        let (shared, index) = (scene.shared, scene.crew.index(scene.place));
        let connection = &shared.spec.connection;
        let (client_id, clean_session, bridge) = match self {
            Part::Publisher(publisher) => {
                (&publisher.name(shared).client_id, connection.clean_session, shared.publishing().bridge)
            }
            Part::Responder(responder) => (&responder.client_id, true, false),
            Part::Listener(listener) => {
                (&listener.spec(shared).client_id, listener.wants_clean(shared), false)
            }
        };
        let properties = connection.five.connect(clean_session);
        let connect = Connect { clean_session, bridge, properties, ..connection.connect(index, client_id) };
        scene.crew.handle_connected(scene.link, scene.place, &connect);
    }

    /// The broker has said something: by reference, because moving it costs more than most of what follows.
    #[inline]
    pub fn hear<L: Link>(&mut self, scene: &mut Scene<'_, L>, event: &Event<'_, Token<Wall>>) {
        match (event, &mut *self) {
            (Event::Acked(token) | Event::AckedLate(token), Part::Publisher(publisher)) => {
                publisher.acked(scene, token);
            }
            (Event::Rejected(token, _), Part::Publisher(publisher)) => publisher.rejected(token),
            (Event::Message { publish, first }, part) => match part {
                Part::Publisher(publisher) => publisher.answered(scene, publish, *first),
                Part::Responder(responder) => responder.answer(scene, publish),
                Part::Listener(listener) => listener.hear(scene, publish, *first),
            },
            (Event::Connected { session_present }, _) => self.connected(scene, *session_present),
            (Event::Subscribed { codes, .. }, _) => self.subscribed(scene, codes),
            _ => {}
        }
    }

    fn connected<L: Link>(&mut self, scene: &mut Scene<'_, L>, session_present: bool) {
        match self {
            Part::Publisher(publisher) => publisher.connected(scene, session_present),
            Part::Responder(responder) => responder.connected(scene),
            Part::Listener(listener) => {
                if let Err(reason) = listener.connected(scene, session_present) {
                    self.fail(scene, reason);
                }
            }
        }
    }

    fn subscribed<L: Link>(&mut self, scene: &mut Scene<'_, L>, codes: &SubAck<'_>) {
        if !scene.crew.subscribed(scene.link.arrived(), scene.place) {
            // It was asked for apart, or given up.
            return self.go_on(scene, Prompt::Answered);
        }
        if let Some(refused) = codes.codes().find(|code| !matches!(code, SubAckCode::Granted(_))) {
            scene.crew.books.count_refusals(codes);
            let remote = scene.crew.remote(scene.place);
            let reason = format!("{remote} refused a subscription ({refused})");
            return self.subscription_failed(scene, reason);
        }
        scene.crew.books.counters().subscribed += 1;
        self.go_on(scene, Prompt::Subscribed);
    }

    /// Its subscription was refused, or not answered.
    pub fn subscription_failed<L: Link>(&mut self, scene: &mut Scene<'_, L>, reason: String) {
        scene.crew.books.counters().subscribe_failures += 1;
        self.fail(scene, reason);
    }

    /// It cannot go on, and is connected.
    fn fail<L: Link>(&mut self, scene: &mut Scene<'_, L>, reason: String) {
        scene.crew.books.trouble(reason.clone());
        self.failed(scene, reason);
        scene.crew.quit(scene.link, scene.place);
    }

    /// It cannot go on, for a reason that was told.
    fn failed<L: Link>(&mut self, scene: &mut Scene<'_, L>, reason: String) {
        scene.crew.books.levels.failed += 1;
        match self {
            Part::Publisher(publisher) => publisher.record.failure = Some(reason),
            // Without its answers the publishers would wait for nothing.
            Part::Responder(_) => scene.shared.stop(Ended::Broker, reason),
            Part::Listener(listener) => {
                listener.record.failure = Some(reason);
                listener.ended(scene, ListenEnd::Failed);
            }
        }
    }

    /// Goes on from what has happened.
    pub fn go_on<L: Link>(&mut self, scene: &mut Scene<'_, L>, prompt: Prompt) {
        match self {
            _ if prompt == Prompt::Hurry => self.hurry(scene),
            Part::Publisher(publisher) => publisher.go_on(scene, prompt),
            Part::Responder(responder) => responder.go_on(scene, prompt),
            Part::Listener(listener) => listener.go_on(scene, prompt),
        }
    }

    fn hurry<L: Link>(&mut self, scene: &mut Scene<'_, L>) {
        if let Part::Listener(listener) = self
            && listener.stage == Stage::Cleaning
        {
            // The broker has had its time to let the session be removed.
            listener.stage = Stage::Ended;
        }
        match scene.step() {
            Step::Down => self.done(scene),
            Step::Leaving(_) | Step::Done => {}
            _ => scene.leave(After::Done),
        }
    }

    /// Its connection has ended, or an attempt at one.
    pub fn down<L: Link>(&mut self, scene: &mut Scene<'_, L>, end: End) {
        // Also after an interrupt, until the hurry: no session is to stay on the broker.
        let cleans = matches!(self, Part::Listener(listener) if listener.stage == Stage::Cleaning);
        let stops = scene.common.stopped && !cleans;
        if let Part::Publisher(publisher) = self {
            publisher.ended(scene, matches!(end, End::Left { read: false, .. }));
        }
        match end {
            End::Left { after: After::Again, .. } if !stops => scene.crew.call(scene.place),
            End::Left { after: After::Away, .. } if !stops => self.go_on(scene, Prompt::Away),
            End::Left { .. } => self.done(scene),
            _ if stops || self.has_finished(scene) => self.done(scene),
            _ if self.goes_without_sys(scene) => scene.crew.retry(scene.now(), scene.place),
            End::Failed => scene.crew.retry(scene.now(), scene.place),
            End::Spent(reason) => {
                self.failed(scene, reason);
                self.done(scene);
            }
        }
    }

    fn goes_without_sys<L>(&mut self, scene: &mut Scene<'_, L>) -> bool {
        match self {
            Part::Listener(listener) => listener.goes_without_sys(scene),
            Part::Publisher(_) | Part::Responder(_) => false,
        }
    }

    /// Whether it has nothing to come back for.
    fn has_finished<L: Link>(&self, scene: &Scene<'_, L>) -> bool {
        match self {
            Part::Publisher(publisher) => publisher.has_finished(scene),
            Part::Responder(_) => scene.shared.all_published(),
            Part::Listener(listener) => listener.stage == Stage::Ended,
        }
    }

    /// It is done, however it came to that.
    fn done<L: Link>(&mut self, scene: &mut Scene<'_, L>) {
        match self {
            Part::Publisher(publisher) => publisher.done(scene),
            Part::Responder(_) => scene.finish(),
            Part::Listener(listener) => listener.done(scene),
        }
    }
}
