//! What messages hold: from the flags, and from the files that they name.

use super::super::Usage;
use super::super::args::{FramingArg, PayloadArgs};
use crate::fleet::{Content, Feed, Framing};
use crate::load::{BodyPlan, PayloadError, PayloadPlan, PayloadStamp, Payloads, SizePlan};

/// Reads the files of the plan, or starts the command that makes the payloads.
pub fn content(args: &PayloadArgs, seed: u64) -> anyhow::Result<Content> {
    let framing = match args.payload_framing {
        FramingArg::Lines => Framing::Lines,
        FramingArg::Length => Framing::Length,
    };
    match &args.payload_from {
        Some(command) => Ok(Content::Feed(Feed::start(command, framing)?)),
        None => Ok(Content::Prepared(payloads(args, seed)?)),
    }
}

fn payloads(args: &PayloadArgs, seed: u64) -> Result<Payloads, Usage> {
    let size = args.size_of.clone().unwrap_or_else(|| SizePlan::gaussian(args.msg_size.bytes()));
    let plan = PayloadPlan { size, body: body(&args.body)?, stamp: stamp(args), encoding: args.encoding };
    Payloads::prepare(plan, seed).map_err(usage)
}

fn body(plan: &BodyPlan) -> Result<BodyPlan, Usage> {
    let Some(file) = plan.file() else { return Ok(plan.clone()) };
    let contents = std::fs::read(file).map_err(|error| Usage(format!("--body {plan}: {error}")))?;
    plan.clone().resolve(contents).map_err(|error| Usage(format!("--body {plan}: {error}")))
}

/// What messages begin with.
pub fn stamp(args: &PayloadArgs) -> PayloadStamp {
    match (&args.stamp, args.timing) {
        (Some(stamp), _) => stamp.clone(),
        (None, true) => PayloadStamp::Malaria,
        (None, false) => PayloadStamp::None,
    }
}

fn usage(error: PayloadError) -> Usage {
    Usage(error.to_string())
}
