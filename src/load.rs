//! The workload: who publishes to whom, when, and what; and whether it arrived.
//!
//! Sans-IO: times are parameters, relative to the start of the schedule where that is said.

mod arrival;
mod body;
mod bursts;
mod drops;
mod flow;
mod handover;
mod ledger;
mod pacing;
mod payload;
mod profile;
mod stamp;
mod template;
mod topology;

pub use arrival::{Due, End, Schedule};
pub use body::Body;
pub use bursts::Bursts;
pub use drops::Drops;
pub use flow::{Flow, Receipt};
pub use handover::HandOver;
pub use ledger::{Expectation, Ledger, Seen, TopicLayout};
pub use pacing::{Pace, Pacer, Pacing, PacingError};
pub use payload::{
    BodyPlan, Encoding, FieldTemplate, FileKind, LARGEST_PAYLOAD, NumberKind, NumberRange, PayloadError,
    PayloadOf, PayloadPlan, PayloadStamp, Payloads, SizePlan,
};
pub use profile::{Profile, ProfileError};
pub use stamp::{STAMP_LEN, Stamp, run_id};
pub use template::{Name, Template, TemplateError, Values};
pub use topology::{CLIENTS, Role, Routes, Split, SplitError};
