use std::sync::atomic::{AtomicU64, Ordering};

/// Defines [`Levels`] and [`Gauges`], so that a new level joins both by being declared.
macro_rules! levels {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Where a worker stands, or the sum of several. Unlike counters, levels fall, too.
        #[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
        pub struct Levels {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// [`Levels`] that one thread stores and others read.
        #[repr(align(128))]
        #[derive(Default)]
        pub struct Gauges {
            $($name: AtomicU64,)*
        }

        impl Gauges {
            /// Shows `levels` to the readers.
            pub fn store(&self, levels: &Levels) {
                $(self.$name.store(levels.$name, Ordering::Release);)*
            }

            /// Adds what was stored last to `sum`.
            pub fn add_to(&self, sum: &mut Levels) {
                $(sum.$name += self.$name.load(Ordering::Acquire);)*
            }
        }
    };
}

levels! {
    /// Clients connected.
    connected,
    /// Clients that have been connected at any time.
    established,
    /// Messages that came due, in all phases.
    due,
    /// Messages that the kernel has taken.
    sent,
    /// Messages acknowledged.
    acked,
    /// Deliveries that subscribers are to have.
    expected,
    /// Deliveries that they had.
    delivered,
    /// Messages in backlogs, on their way to the kernel, and in flight.
    outstanding,
    /// Whether the worker knows that nothing more will come due.
    draining,
    /// Clients that are done.
    done,
    /// Of those, the ones that failed.
    failed,
    /// Messages that listeners still expect.
    missing,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauges_show_what_was_stored_last() {
        let (gauges, mut sum) = (Gauges::default(), Levels::default());
        gauges.store(&Levels { connected: 3, missing: 7, ..Levels::default() });
        gauges.store(&Levels { connected: 2, missing: 5, ..Levels::default() });
        gauges.add_to(&mut sum);
        gauges.add_to(&mut sum);
        assert_eq!(sum, Levels { connected: 4, missing: 10, ..Levels::default() });
    }
}
