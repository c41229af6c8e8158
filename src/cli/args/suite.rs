//! Flags of the standard workloads.

use super::RunArgs;
use super::values::Scale;
use clap::Args;

const EXAMPLES: &str = "\
Examples:
  malaria-bench scenarios                                        what there is
  malaria-bench run mqttbs/p2p-1k -H broker.lab                  as it was published, half an hour
  malaria-bench run mqttbs/p2p-50k --scale 0.01 --duration 30s   a hundredth of the clients and rates
  malaria-bench run 2k_2k_qos0_p32_100mps -H broker.lab          one of the BifroMQ reports: the name says it all
  malaria-bench run sparkplug-like --print > mine.toml           a file for `malaria-bench scenario`";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct NamedArgs {
    /// One of those that `malaria-bench scenarios` lists, or PUB_SUB_qosQ_pBYTES_Rmps.
    #[arg(value_name = "NAME")]
    pub scenario: String,
    /// Print it as it stands, a scenario file (TOML) without your flags, and run nothing [default: off].
    #[arg(long)]
    pub print: bool,
    /// What is typed goes before what the workload says.
    #[command(flatten)]
    pub run: RunArgs,
}

#[derive(Args)]
pub struct ScenariosArgs {
    /// What they are at this scale: see `malaria-bench run --scale`.
    #[arg(long, default_value = "1", value_name = "FACTOR")]
    pub scale: Scale,
}
