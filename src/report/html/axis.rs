//! Axes of charts: where a value goes, and which values are named.

/// From which value to which, and how values between lie.
#[derive(Clone, PartialEq, Debug)]
pub struct Axis {
    from: f64,
    to: f64,
    logarithmic: bool,
    /// Values that are named, ascending.
    pub ticks: Vec<f64>,
}

impl Axis {
    /// From 0 to the first round value that is not below `most`.
    pub fn linear(most: f64) -> Axis {
        let most = if most.is_finite() && most > 0.0 { most } else { 1.0 };
        let step = round_up(most / 5.0);
        let steps = (most / step - 1e-9).ceil().max(1.0);
        let ticks = (0..=steps as u32).map(|at| f64::from(at) * step).collect();
        Axis { from: 0.0, to: steps * step, logarithmic: false, ticks }
    }

    /// From the first value to the last of these, which are named.
    pub fn between(ticks: Vec<f64>) -> Axis {
        let (from, to) = (ticks.first().copied().unwrap_or(0.0), ticks.last().copied().unwrap_or(1.0));
        Axis { from, to, logarithmic: false, ticks }
    }

    /// From the round value at or below `least` to the one at or above `most`, both above 0.
    pub fn logarithmic(least: f64, most: f64) -> Axis {
        let least = if least.is_finite() && least > 0.0 { least } else { 1.0 };
        let most = if most.is_finite() { most.max(least) } else { least };
        let (from, mut to) = (round_down(least), round_up(most));
        if to <= from {
            to = round_up(from * 1.5);
        }
        let decades = (to / from).log10();
        let digits: &[f64] = if decades > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let exponents = from.log10().floor() as i32..=to.log10().ceil() as i32;
        let round =
            exponents.flat_map(|exponent| digits.iter().map(move |digit| digit * 10f64.powi(exponent)));
        let ticks = round.filter(|tick| *tick >= from * 0.999 && *tick <= to * 1.001).collect();
        Axis { from, to, logarithmic: true, ticks }
    }

    /// Its first value and its last.
    pub fn span(&self) -> (f64, f64) {
        (self.from, self.to)
    }

    /// 0 at the start of the axis, 1 at its end; values beyond stay at the ends.
    pub fn place(&self, value: f64) -> f64 {
        let place = match self.logarithmic {
            true => (value.max(self.from) / self.from).log10() / (self.to / self.from).log10(),
            false => (value - self.from) / (self.to - self.from),
        };
        if place.is_finite() { place.clamp(0.0, 1.0) } else { 0.0 }
    }
}

/// 1, 2 or 5 times a power of ten, at least `value`.
fn round_up(value: f64) -> f64 {
    let power = 10f64.powi(value.log10().floor() as i32);
    let digits = [1.0, 2.0, 5.0].into_iter().find(|digit| digit * power >= value * (1.0 - 1e-9));
    digits.unwrap_or(10.0) * power
}

/// 1, 2 or 5 times a power of ten, at most `value`.
fn round_down(value: f64) -> f64 {
    let power = 10f64.powi(value.log10().floor() as i32);
    let digits = [5.0, 2.0].into_iter().find(|digit| digit * power <= value * (1.0 + 1e-9));
    digits.unwrap_or(1.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!(Axis::linear(20_000.0).ticks, [0.0, 5_000.0, 10_000.0, 15_000.0, 20_000.0]);
        assert_eq!(Axis::linear(0.0).ticks, [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(Axis::logarithmic(218e3, 4.1e6).ticks, [2e5, 5e5, 1e6, 2e6, 5e6]);
        assert_eq!(Axis::logarithmic(900.0, 3e7).ticks, [1e3, 1e4, 1e5, 1e6, 1e7]);
    }

    #[test]
    fn places_are_shares_of_the_axis() {
        let axis = Axis::logarithmic(100.0, 10_000.0);
        assert_eq!([10.0, 100.0, 1_000.0, 10_000.0, 1e9].map(|v| axis.place(v)), [0.0, 0.0, 0.5, 1.0, 1.0]);
        let axis = Axis::between(vec![1.0, 2.0, 3.0]);
        assert_eq!([1.0, 2.0, 3.0].map(|v| axis.place(v)), [0.0, 0.5, 1.0]);
    }

    proptest! {
        #[test]
        fn every_value_has_a_place(least in 0f64..1e13, more in 0f64..1e13) {
            let most = least + more;
            for axis in [Axis::linear(most), Axis::logarithmic(least, most)] {
                prop_assert!((1..=12).contains(&axis.ticks.len()), "{axis:?}");
                prop_assert!(axis.ticks.is_sorted());
                prop_assert!(axis.to >= most * 0.999, "{axis:?}");
                prop_assert!((0.0..=1.0).contains(&axis.place(least)));
                prop_assert!(axis.place(least) <= axis.place(most));
            }
        }
    }
}
