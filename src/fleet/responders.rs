//! What responders do: they send back what they got, under the topic with `/reply` behind it.

use super::scene::Scene;
use super::shared::Shared;
use crate::client::Outgoing;
use crate::crew::{Link, Place};
use crate::wire::Publish;

/// The responders of a worker.
#[derive(Default)]
pub struct Responders {
    pub list: Vec<Responder>,
    topic: String,
}

/// A client that answers.
pub struct Responder {
    /// Among all responders of the fleet: they divide the topics among them.
    pub number: u32,
    /// Publishers need not wait for it any more.
    pub ready: bool,
}

impl Responders {
    /// One more; answers which it is here.
    pub fn add(&mut self, number: u32) -> usize {
        self.list.push(Responder { number, ready: false });
        self.list.len() - 1
    }

    /// It is subscribed, or never will be.
    pub fn ready(&mut self, shared: &Shared, local: usize) {
        if !std::mem::replace(&mut self.list[local].ready, true) {
            shared.ready();
        }
    }

    /// A request is here.
    pub fn answer<L: Link>(
        &mut self,
        scene: &mut Scene<'_, L>,
        local: usize,
        place: Place,
        request: &Publish<'_>,
    ) {
        // FNV-1a.
        let hash = request.topic.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        // Of a filter that covers more than it should, answers must not be answered.
        let other = (hash % u64::from(scene.shared.responders())) as u32 != self.list[local].number;
        if other || request.topic.ends_with("/reply") {
            return;
        }
        let qos = scene.shared.publishing().qos;
        if scene.crew.room(scene.link, place, qos) == 0 {
            return scene.crew.books.trouble("a responder had no room for an answer".into());
        }
        self.topic.clear();
        self.topic.push_str(request.topic);
        self.topic.push_str("/reply");
        let message = Outgoing { topic: &self.topic, qos, retain: false, payload: &[request.payload] };
        let wall = scene.unix_ns();
        scene.crew.publish_aside(scene.link, place, message, wall);
    }
}
