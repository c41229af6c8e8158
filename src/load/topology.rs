//! Who publishes to whom.

use crate::record::{Plan, Topology};

/// Clients of a run that says nothing about their number.
pub const CLIENTS: u32 = 1000;

/// How many clients play which part. Clients are numbered publishers first, then subscribers, then
/// the idle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Split {
    pub publishers: u32,
    pub subscribers: u32,
    pub idle: u32,
    /// The publishers are the subscribers, too: as many, and the same clients.
    pub itself: bool,
}

/// Numbers of clients that do not add up. Each message names the numbers and the fix.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SplitError {
    #[error("--clients 0: a run needs at least one client")]
    NoClients,
    #[error("--topology {topology} needs at least 2 clients, but --clients is {clients}")]
    TooFew { topology: Topology, clients: u32 },
    #[error("{publishers} publishers and {subscribers} subscribers are more than --clients {clients}")]
    TooMany { publishers: u32, subscribers: u32, clients: u32 },
    #[error("--topology {topology} has no {part}: leave out --{part}, or choose another topology")]
    NoSuchPart { topology: Topology, part: &'static str },
    #[error("--topology {topology} needs at least one of the {part}, but they are 0")]
    NonePlays { topology: Topology, part: &'static str },
}

impl Topology {
    /// Splits `clients` as asked; what is not asked for follows from the shape: one subscriber of a fan-in, one
    /// publisher of a fan-out, the rest of the clients otherwise. Clients that then have no part are idle.
    ///
    /// Without `clients` there are as many as have a part, once the numbers of publishers or of subscribers say
    /// it, else [`CLIENTS`].
    ///
    /// # Errors
    /// Numbers that do not add up.
    pub fn split(
        self,
        clients: Option<u32>,
        publishers: Option<u32>,
        subscribers: Option<u32>,
    ) -> Result<Split, SplitError> {
        let is_heard = !matches!(self, Topology::Idle | Topology::Publish);
        let itself = self == Topology::Itself;
        match clients {
            Some(0) => return Err(SplitError::NoClients),
            Some(clients @ 1) if is_heard && !itself => {
                return Err(SplitError::TooFew { topology: self, clients });
            }
            _ => {}
        }
        let clients = clients.or_else(|| self.parts(publishers, subscribers)).unwrap_or(CLIENTS);
        let absent = |part, asked: Option<u32>| match asked {
            Some(1..) => Err(SplitError::NoSuchPart { topology: self, part }),
            _ => Ok(0),
        };
        let rest = |part: u32| clients.saturating_sub(part);
        let (publishers, subscribers) = match self {
            Topology::Idle => (absent("publishers", publishers)?, absent("subscribers", subscribers)?),
            Topology::Publish => (publishers.unwrap_or(clients), absent("subscribers", subscribers)?),
            Topology::Itself => {
                absent("subscribers", subscribers)?;
                (publishers.unwrap_or(clients), publishers.unwrap_or(clients))
            }
            _ => match (publishers, subscribers, self) {
                (Some(publishers), Some(subscribers), _) => (publishers, subscribers),
                (Some(publishers), None, Topology::FanIn) => (publishers, 1),
                (None, Some(subscribers), Topology::FanOut) => (1, subscribers),
                (Some(publishers), None, _) => (publishers, rest(publishers)),
                (None, Some(subscribers), _) => (rest(subscribers), subscribers),
                (None, None, Topology::FanIn) => (rest(1), 1),
                (None, None, Topology::FanOut) => (1, rest(1)),
                (None, None, _) => (clients / 2, clients / 2),
            },
        };
        let playing = publishers.checked_add(if itself { 0 } else { subscribers });
        let Some(idle) = playing.and_then(|playing| clients.checked_sub(playing)) else {
            return Err(SplitError::TooMany { publishers, subscribers, clients });
        };
        let none = |part, count: u32, needed: bool| match count {
            0 if needed => Err(SplitError::NonePlays { topology: self, part }),
            _ => Ok(()),
        };
        none("publishers", publishers, self != Topology::Idle)?;
        none("subscribers", subscribers, is_heard)?;
        Ok(Split { publishers, subscribers, idle, itself })
    }

    /// How many clients have a part, where the numbers asked for say it. What is too much to count is too much
    /// for [`Topology::split`], too.
    fn parts(self, publishers: Option<u32>, subscribers: Option<u32>) -> Option<u32> {
        match (self, publishers, subscribers) {
            (Topology::Idle, ..) => None,
            (Topology::Publish | Topology::Itself, publishers, _) => publishers,
            (Topology::FanIn, Some(publishers), None) => Some(publishers.saturating_add(1)),
            (Topology::FanOut, None, Some(subscribers)) => Some(subscribers.saturating_add(1)),
            (Topology::Pairs, Some(half), None) | (Topology::Pairs, None, Some(half)) => {
                Some(half.saturating_mul(2))
            }
            (_, Some(publishers), Some(subscribers)) => Some(publishers.saturating_add(subscribers)),
            _ => None,
        }
    }
}

/// What one client does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Number of the publisher, from 0.
    Publisher(u32),
    /// Number of the subscriber, from 0.
    Subscriber(u32),
    Idle,
}

impl Split {
    /// That of a plan.
    pub fn of(plan: &Plan) -> Split {
        let Plan { clients, publishers, subscribers, .. } = *plan;
        let itself = plan.topology == Topology::Itself;
        let playing = publishers + if itself { 0 } else { subscribers };
        Split { publishers, subscribers, idle: clients - playing, itself }
    }

    pub fn clients(&self) -> u32 {
        self.publishers + if self.itself { 0 } else { self.subscribers } + self.idle
    }

    /// Which of the publishers client `index` is, if it is one.
    pub fn publisher(&self, index: u32) -> Option<u32> {
        (index < self.publishers).then_some(index)
    }

    /// Which of the subscribers client `index` is, if it is one.
    pub fn subscriber(&self, index: u32) -> Option<u32> {
        let first = if self.itself { 0 } else { self.publishers };
        index.checked_sub(first).filter(|number| *number < self.subscribers)
    }

    /// The part of client `index`; of one that has two, the first.
    pub fn role(&self, index: u32) -> Role {
        match (self.publisher(index), self.subscriber(index)) {
            (Some(number), _) => Role::Publisher(number),
            (None, Some(number)) => Role::Subscriber(number),
            (None, None) => Role::Idle,
        }
    }
}

/// Which publisher reaches which subscriber. Publishers and subscribers are dealt to as many *groups*
/// as the fewer of them are, or as were asked for, in turn; everyone in a group hears everyone in it. Pairs, fan-in and
/// fan-out are all of this kind, and so is every uneven split. A topic template without a field has one
/// topic, so one group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Routes {
    publishers: u32,
    subscribers: u32,
    groups: u32,
}

impl Routes {
    /// `varies` says whether publishers may have different topics; `asked` is a number of groups, where one was asked for.
    pub fn new(split: Split, varies: bool, asked: Option<u32>) -> Routes {
        let Split { publishers, subscribers, .. } = split;
        let groups = match subscribers {
            _ if !varies => 1,
            0 => publishers,
            _ => publishers.min(subscribers),
        };
        let groups = asked.map_or(groups, |asked| asked.min(groups));
        Routes { publishers, subscribers, groups: groups.max(1) }
    }

    /// Number of groups: what `%p` counts.
    pub fn groups(&self) -> u32 {
        self.groups
    }

    /// The group of publisher or subscriber `number`.
    pub fn group(&self, number: u32) -> u32 {
        number % self.groups
    }

    /// How many publishers `group` has.
    pub fn publishers_in(&self, group: u32) -> u32 {
        self.publishers / self.groups + u32::from(group < self.publishers % self.groups)
    }

    /// The publishers of `group`.
    pub fn publishers_of(&self, group: u32) -> impl Iterator<Item = u32> + use<> {
        (group..self.publishers).step_by(self.groups as usize)
    }

    /// The place of `publisher` among those of its group, if it exists and reaches `group`.
    pub fn place(&self, publisher: u32, group: u32) -> Option<u32> {
        (publisher < self.publishers && self.group(publisher) == group).then(|| publisher / self.groups)
    }

    /// Number of flows, that is pairs of a publisher and a subscriber it reaches.
    pub fn flows(&self) -> u64 {
        (0..self.subscribers.min(self.groups))
            .map(|group| {
                let subscribers =
                    self.subscribers / self.groups + u32::from(group < self.subscribers % self.groups);
                u64::from(subscribers) * u64::from(self.publishers_in(group))
            })
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Template;

    fn routes(publishers: u32, subscribers: u32, topic: &str) -> Routes {
        let split = Split { publishers, subscribers, idle: 0, itself: false };
        Routes::new(split, topic.parse::<Template>().unwrap().varies(), None)
    }

    #[test]
    fn each_topology_splits_as_its_name_says() {
        let split = |topology: Topology, clients, p, s| {
            topology.split(Some(clients), p, s).map(|s| (s.publishers, s.subscribers, s.idle))
        };
        assert_eq!(split(Topology::Pairs, 1000, None, None), Ok((500, 500, 0)));
        assert_eq!(split(Topology::Pairs, 7, None, None), Ok((3, 3, 1)));
        assert_eq!(split(Topology::Pairs, 10, Some(2), None), Ok((2, 8, 0)));
        assert_eq!(split(Topology::Pairs, 10, None, Some(2)), Ok((8, 2, 0)));
        assert_eq!(split(Topology::Pairs, 10, Some(2), Some(3)), Ok((2, 3, 5)));
        assert_eq!(split(Topology::FanIn, 10, None, None), Ok((9, 1, 0)));
        assert_eq!(split(Topology::FanIn, 10, None, Some(4)), Ok((6, 4, 0)));
        assert_eq!(split(Topology::FanOut, 10, None, None), Ok((1, 9, 0)));
        assert_eq!(split(Topology::FanOut, 10, Some(4), None), Ok((4, 6, 0)));
        assert_eq!(split(Topology::Publish, 10, None, None), Ok((10, 0, 0)));
        assert_eq!(split(Topology::Publish, 10, Some(4), None), Ok((4, 0, 6)));
        assert_eq!(split(Topology::Idle, 10, None, None), Ok((0, 0, 10)));
    }

    /// Issue section 4: `fan-in --publishers 3` ran 997 subscribers.
    #[test]
    fn the_one_of_a_fan_is_one_unless_asked_otherwise() {
        let split = |topology: Topology, clients, p, s| {
            topology.split(clients, p, s).map(|s| (s.publishers, s.subscribers, s.idle))
        };
        assert_eq!(split(Topology::FanIn, None, Some(3), None), Ok((3, 1, 0)));
        assert_eq!(split(Topology::FanIn, Some(10), Some(3), None), Ok((3, 1, 6)));
        assert_eq!(split(Topology::FanOut, None, None, Some(3)), Ok((1, 3, 0)));
        assert_eq!(split(Topology::FanOut, Some(10), None, Some(3)), Ok((1, 3, 6)));
        assert_eq!(split(Topology::FanIn, None, None, Some(3)), Ok((997, 3, 0)));
        assert_eq!(split(Topology::FanOut, None, Some(3), None), Ok((3, 997, 0)));
    }

    /// Issue section 4: `--publishers 3 --subscribers 3` ran 994 idle clients.
    #[test]
    fn without_a_number_of_clients_there_are_as_many_as_have_a_part() {
        let split = |topology: Topology, p, s| {
            topology.split(None, p, s).map(|split| (split.publishers, split.subscribers, split.idle))
        };
        for topology in [Topology::Pairs, Topology::FanIn, Topology::FanOut] {
            assert_eq!(split(topology, Some(3), Some(3)), Ok((3, 3, 0)), "{topology}");
            assert_eq!(split(topology, Some(2000), Some(1000)), Ok((2000, 1000, 0)), "{topology}");
        }
        assert_eq!(split(Topology::Pairs, None, None), Ok((500, 500, 0)));
        assert_eq!(split(Topology::Pairs, Some(3), None), Ok((3, 3, 0)));
        assert_eq!(split(Topology::Pairs, None, Some(2000)), Ok((2000, 2000, 0)));
        assert_eq!(split(Topology::Publish, Some(4), None), Ok((4, 0, 0)));
        assert_eq!(split(Topology::Publish, None, None), Ok((1000, 0, 0)));
        assert_eq!(split(Topology::Idle, None, None), Ok((0, 0, 1000)));
        assert_eq!(split(Topology::FanIn, None, None), Ok((999, 1, 0)));
    }

    #[test]
    fn numbers_that_do_not_add_up_are_errors() {
        let error = |topology: Topology, clients, p, s| topology.split(clients, p, s).unwrap_err();
        assert_eq!(error(Topology::Idle, Some(0), None, None), SplitError::NoClients);
        assert!(matches!(error(Topology::Pairs, Some(1), None, None), SplitError::TooFew { clients: 1, .. }));
        assert!(matches!(error(Topology::FanIn, Some(5), Some(4), Some(2)), SplitError::TooMany { .. }));
        assert!(matches!(error(Topology::FanIn, Some(5), Some(5), None), SplitError::TooMany { .. }));
        let most = Some(u32::MAX);
        assert!(matches!(error(Topology::FanIn, Some(5), most, Some(2)), SplitError::TooMany { .. }));
        assert!(matches!(error(Topology::FanIn, None, most, Some(2)), SplitError::TooMany { .. }));
        assert!(matches!(error(Topology::FanIn, None, most, None), SplitError::TooMany { .. }));
        assert!(Topology::Pairs.split(None, most, None).is_err());
        assert!(matches!(error(Topology::Idle, Some(5), Some(1), None), SplitError::NoSuchPart { .. }));
        assert!(matches!(error(Topology::Publish, Some(5), None, Some(1)), SplitError::NoSuchPart { .. }));
        assert!(matches!(error(Topology::Pairs, Some(5), Some(0), None), SplitError::NonePlays { .. }));
        assert!(matches!(error(Topology::Pairs, None, Some(0), None), SplitError::NonePlays { .. }));
        assert!(matches!(error(Topology::Publish, None, Some(0), None), SplitError::NonePlays { .. }));
        assert!(matches!(error(Topology::Pairs, Some(5), Some(5), None), SplitError::NonePlays { .. }));
    }

    #[test]
    fn everybody_in_a_group_hears_everybody_in_it() {
        // (publishers, subscribers, topic) -> (groups, flows)
        for (p, s, topic, groups, flows) in [
            (500, 500, "bench/%p", 500, 500),
            (999, 1, "bench/%p", 1, 999),
            (1, 999, "bench/%p", 1, 999),
            (5, 1000, "bench/%p", 5, 1000),
            (7, 3, "t/%i", 3, 7),
            (10, 10, "same", 1, 100),
            (10, 0, "t/%p", 10, 0),
        ] {
            let routes = routes(p, s, topic);
            assert_eq!((routes.groups(), routes.flows()), (groups, flows), "{p} {s} {topic}");
            let members: u32 = (0..groups).map(|group| routes.publishers_in(group)).sum();
            assert_eq!(members, p);
            for group in 0..groups {
                let places: Vec<_> =
                    routes.publishers_of(group).map(|p| routes.place(p, group).unwrap()).collect();
                assert_eq!(places, (0..routes.publishers_in(group)).collect::<Vec<_>>());
            }
        }
        assert_eq!(routes(5, 5, "%p").place(3, 2), None);
        assert_eq!(routes(5, 5, "%p").place(5, 0), None);
    }

    #[test]
    fn roles_follow_the_numbering() {
        let split = Split { publishers: 2, subscribers: 1, idle: 1, itself: false };
        let roles: Vec<_> = (0..split.clients()).map(|index| split.role(index)).collect();
        assert_eq!(roles, [Role::Publisher(0), Role::Publisher(1), Role::Subscriber(0), Role::Idle]);
        let parts = (0..4).map(|index| (split.publisher(index), split.subscriber(index)));
        let alone = [(Some(0), None), (Some(1), None), (None, Some(0)), (None, None)];
        assert!(parts.eq(alone));
    }

    #[test]
    fn who_publishes_to_itself_is_one_client_with_two_parts() {
        let split = |clients, p, s| Topology::Itself.split(clients, p, s);
        let all = |publishers, idle| Ok(Split { publishers, subscribers: publishers, idle, itself: true });
        assert_eq!(split(None, None, None), all(1000, 0));
        assert_eq!(split(Some(1), None, None), all(1, 0));
        assert_eq!(split(Some(10), Some(4), None), all(4, 6));
        assert_eq!(split(None, Some(4), None), all(4, 0));
        assert!(matches!(split(None, None, Some(4)), Err(SplitError::NoSuchPart { .. })));
        assert!(matches!(split(Some(3), Some(4), None), Err(SplitError::TooMany { .. })));
        assert!(matches!(split(None, Some(0), None), Err(SplitError::NonePlays { .. })));
        let split = all(2, 1).unwrap();
        let parts = (0..split.clients()).map(|index| (split.publisher(index), split.subscriber(index)));
        assert!(parts.eq([(Some(0), Some(0)), (Some(1), Some(1)), (None, None)]));
        let routes = Routes::new(split, true, None);
        assert_eq!((routes.groups(), routes.flows()), (2, 2));
    }
}
