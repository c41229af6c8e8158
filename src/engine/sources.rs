//! Local addresses to come from, as a person names them.

use super::Endpoint;
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::str::FromStr;
use std::sync::Arc;

/// Some of this machine's addresses, as text: an address (`192.0.2.7`), a block of them (`10.1.0.0/16`), or the name of
/// an interface (`eth0`), which stands for all that it has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// Addresses in a row.
    Block(Block),
    /// Those of an interface.
    Interface(String),
}

/// Addresses in a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Block {
    first: IpAddr,
    /// How many they are; of IPv6 no more than could ever be used.
    count: u32,
}

/// Why a text, or what it names, is no address to come from.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SourceError {
    /// It has none of the forms of a [`Source`].
    #[error("`{0}` is neither an address, nor a block of them (10.1.0.0/16), nor the name of an interface")]
    Malformed(String),
    /// There is no such interface, or it has no address.
    #[error("there is no interface `{0}` with an address: see `ip address`")]
    Interface(String),
    /// This machine cannot come from there.
    #[error(
        "{address} is no address of this machine: {reason}. Give it one (`ip address add {address} dev eth0`), or a \
         whole block (`ip route add local 10.1.0.0/16 dev lo`)"
    )]
    Foreign {
        /// The address.
        address: IpAddr,
        /// What the kernel said.
        reason: String,
    },
    /// There is none of the broker's kind.
    #[error(
        "the broker {0} is reached over the other IP version than the addresses that clients are to come from"
    )]
    Version(Endpoint),
}

impl FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Source, SourceError> {
        let malformed = || SourceError::Malformed(text.into());
        if let Some((address, length)) = text.split_once('/') {
            let address: IpAddr = address.parse().map_err(|_| malformed())?;
            let length: u32 = length.parse().map_err(|_| malformed())?;
            return Block::of(address, length).map(Source::Block).ok_or_else(malformed);
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Source::Block(Block { first: address, count: 1 }));
        }
        // IFNAMSIZ, with the zero behind it.
        let named = !text.is_empty() && text.len() < 16 && !text.contains([' ', ':']);
        named.then(|| Source::Interface(text.into())).ok_or_else(malformed)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Block(Block { first, count: 1 }) => first.fmt(f),
            Source::Block(Block { first, count }) => write!(f, "{first} and {} more", count - 1),
            Source::Interface(name) => f.write_str(name),
        }
    }
}

impl Block {
    /// What `address/length` stands for: without the network's own address and that of everybody in it, where it has them.
    fn of(address: IpAddr, length: u32) -> Option<Block> {
        match address {
            IpAddr::V4(v4) if length <= 32 => {
                let size = 1u64 << (32 - length);
                let first = (u64::from(u32::from(v4)) & !(size - 1)) as u32;
                let spared = u32::from(size > 2);
                let count = u32::try_from(size - 2 * u64::from(spared)).ok()?;
                Some(Block { first: Ipv4Addr::from(first + spared).into(), count })
            }
            IpAddr::V6(v6) if length <= 128 => {
                let bits = 128 - length;
                let first = u128::from(v6) >> bits.min(127) >> (bits / 128) << bits.min(127) << (bits / 128);
                Some(Block { first: Ipv6Addr::from(first).into(), count: 1 << bits.min(24) })
            }
            _ => None,
        }
    }

    fn get(self, at: u32) -> IpAddr {
        match self.first {
            IpAddr::V4(v4) => Ipv4Addr::from(u32::from(v4) + at).into(),
            IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) + u128::from(at)).into(),
        }
    }
}

/// All addresses that clients come from, in turn; none leaves the choice to the kernel. Clients may have one of their own.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Sources {
    blocks: Vec<Block>,
    own: Arc<OwnSources>,
}

/// The addresses of clients that each have one of their own: four bytes a client.
#[derive(PartialEq, Eq, Default, Debug)]
pub struct OwnSources {
    addresses: Vec<IpAddr>,
    /// Which of them each client has; [`OwnSources::NONE`] of them.
    of: Vec<u32>,
    known: HashMap<IpAddr, u32>,
}

impl OwnSources {
    const NONE: u32 = u32::MAX;

    /// The address of the next client, if it has one.
    ///
    /// # Errors
    /// It is not this machine's.
    pub fn push(&mut self, address: Option<IpAddr>) -> Result<(), SourceError> {
        let place = match address.map(|address| (address, self.known.get(&address))) {
            None => OwnSources::NONE,
            Some((_, Some(place))) => *place,
            Some((address, None)) => {
                check(address)?;
                let place = self.addresses.len() as u32;
                self.addresses.push(address);
                self.known.insert(address, place);
                place
            }
        };
        self.of.push(place);
        Ok(())
    }
}

/// Whether this machine can come from `address`.
fn check(address: IpAddr) -> Result<(), SourceError> {
    match UdpSocket::bind((address, 0)) {
        Ok(_) => Ok(()),
        Err(error) => Err(SourceError::Foreign { address, reason: error.to_string() }),
    }
}

impl Sources {
    /// The addresses that `named` stands for.
    ///
    /// # Errors
    /// One of them is not this machine's: of each block the first and the last are tried.
    pub fn find(named: &[Source]) -> Result<Sources, SourceError> {
        let mut blocks = Vec::new();
        for source in named {
            match source {
                Source::Block(block) => blocks.push(*block),
                Source::Interface(name) => {
                    let known = blocks.len();
                    blocks.extend(super::socket::interface(name).map(|first| Block { first, count: 1 }));
                    if blocks.len() == known {
                        return Err(SourceError::Interface(name.clone()));
                    }
                }
            }
        }
        blocks.iter().flat_map(|block| [block.get(0), block.get(block.count - 1)]).try_for_each(check)?;
        Ok(Sources { blocks, own: Arc::default() })
    }

    /// The same, with addresses that clients have of their own.
    pub fn with_own(self, own: OwnSources) -> Sources {
        Sources { own: Arc::new(own), ..self }
    }

    /// The same, for clients that have none of their own.
    pub fn common(&self) -> Sources {
        Sources { blocks: self.blocks.clone(), own: Arc::default() }
    }

    /// The address that client `index` has of its own, if it has one.
    pub fn own(&self, index: u32) -> Option<IpAddr> {
        let place = *self.own.of.get(index as usize)?;
        self.own.addresses.get(place as usize).copied()
    }

    /// How many of `clients` have no address of their own, and how many share one, at most.
    pub fn crowd(&self, clients: u32) -> (u32, u32) {
        let mut sharing = vec![0u32; self.own.addresses.len()];
        let own = self.own.of.iter().take(clients as usize).filter(|place| **place != OwnSources::NONE);
        let owners = own.inspect(|place| sharing[**place as usize] += 1).count();
        (clients - owners as u32, sharing.into_iter().max().unwrap_or(0))
    }

    /// Whether all addresses of their own are of the kind that reaches `remote`.
    pub fn own_reach(&self, remote: &Endpoint) -> bool {
        match remote {
            Endpoint::Tcp(broker) => self.own.addresses.iter().all(|own| own.is_ipv4() == broker.is_ipv4()),
            Endpoint::Unix(_) => self.own.addresses.is_empty(),
        }
    }

    /// Whether the choice is the kernel's, but for clients with an address of their own.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// How many there are of the kind that reaches `remote`.
    pub fn count(&self, remote: &Endpoint) -> u32 {
        self.of(remote).fold(0, |sum, block| sum.saturating_add(block.count))
    }

    /// The one whose turn it is to reach `remote`; `None` where there is none of its kind.
    pub fn get(&self, remote: &Endpoint, turn: u32) -> Option<IpAddr> {
        let mut at = turn.checked_rem(self.count(remote))?;
        for block in self.of(remote) {
            if at < block.count {
                return Some(block.get(at));
            }
            at -= block.count;
        }
        None
    }

    fn of(&self, remote: &Endpoint) -> impl Iterator<Item = &Block> {
        let kind = match remote {
            Endpoint::Tcp(address) => Some(address.is_ipv4()),
            Endpoint::Unix(_) => None,
        };
        self.blocks.iter().filter(move |block| kind == Some(block.first.is_ipv4()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(named: &[&str]) -> Result<Sources, SourceError> {
        let named: Result<Vec<Source>, _> = named.iter().map(|text| text.parse()).collect();
        Sources::find(&named?)
    }

    fn remote(text: &str) -> Endpoint {
        Endpoint::Tcp(text.parse().expect("an address"))
    }

    #[test]
    fn addresses_blocks_and_interfaces_are_taken_in_turn() {
        let all =
            sources(&["127.0.0.9", "127.1.0.0/30", "127.2.0.4/31", "lo"]).expect("all of 127/8 is ours");
        let broker = remote("127.0.0.1:1883");
        let count = all.count(&broker);
        let text: Vec<_> =
            (0..=count).map(|turn| all.get(&broker, turn).expect("some").to_string()).collect();
        assert_eq!(text[..5], ["127.0.0.9", "127.1.0.1", "127.1.0.2", "127.2.0.4", "127.2.0.5"]);
        assert!(text[5..count as usize].contains(&"127.0.0.1".to_owned()), "{text:?}");
        assert_eq!(text[count as usize], text[0], "from the first again");
    }

    #[test]
    fn blocks_are_as_large_as_they_say() {
        let block = |text: &str| match text.parse() {
            Ok(Source::Block(block)) => (block.get(0).to_string(), block.get(block.count - 1).to_string()),
            other => panic!("{text}: {other:?}"),
        };
        let both = |first: &str, last: &str| (first.to_owned(), last.to_owned());
        assert_eq!(block("127.9.8.7/8"), both("127.0.0.1", "127.255.255.254"));
        assert_eq!(block("10.0.0.255/32"), both("10.0.0.255", "10.0.0.255"));
        assert_eq!(block("fd00::77/126"), both("fd00::74", "fd00::77"));
        assert_eq!(block("fd00::77/64").0, "fd00::");
        assert_eq!(block("::/0").0, "::");
    }

    #[test]
    fn what_is_no_address_of_this_machine_is_told_before_the_first_packet() {
        for (text, says) in [
            ("10.0.0.0/33", "neither an address"),
            ("one two", "neither an address"),
            ("nowhere0", "no interface `nowhere0`"),
            ("203.0.113.77", "203.0.113.77 is no address of this machine"),
            ("127.0.0.1/x", "neither an address"),
        ] {
            let error = sources(&[text]).expect_err(text).to_string();
            assert!(error.contains(says), "{error}");
        }
        let v4 = sources(&["127.0.0.1"]).expect("ours");
        assert_eq!((v4.get(&remote("[::1]:1883"), 0), v4.count(&remote("[::1]:1883"))), (None, 0));
        assert!(!v4.is_empty() && Sources::default().is_empty());
    }

    #[test]
    fn clients_may_have_addresses_of_their_own() {
        let mut own = OwnSources::default();
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let all = ["127.0.0.5", "", "127.0.0.6", "127.0.0.5"];
        for text in all {
            own.push((!text.is_empty()).then(|| address(text))).expect("all of 127/8 is ours");
        }
        assert_eq!(own.addresses.len(), 2, "each is there once");
        let foreign = own.push(Some(address("203.0.113.77"))).expect_err("not ours").to_string();
        assert!(foreign.contains("203.0.113.77 is no address of this machine"), "{foreign}");
        let mixed = sources(&["127.0.0.9"]).expect("ours").with_own(own);
        let told = (0..5).map(|index| mixed.own(index).map(|own| own.to_string()).unwrap_or_default());
        assert!(told.eq(["127.0.0.5", "", "127.0.0.6", "127.0.0.5", ""]), "the last is beyond them");
        assert_eq!([mixed.crowd(4), mixed.crowd(3), mixed.crowd(9)], [(1, 2), (1, 1), (6, 2)]);
        assert!(mixed.own_reach(&remote("127.0.0.1:1883")) && !mixed.own_reach(&remote("[::1]:1883")));
        assert_eq!((mixed.common().own(0), mixed.common().is_empty()), (None, false));
    }
}
