use serde::Deserialize;

use super::{FLEET_SCHEMA, FleetRecord, Record, RecordError, SCHEMA};

/// A finished record of either kind, as a file holds it.
#[derive(Clone, PartialEq, Debug)]
pub enum Finished {
    /// Of the main job.
    Run(Box<Record>),
    /// Of `publish` or `subscribe`.
    Fleet(Box<FleetRecord>),
}

impl Finished {
    /// Reads a record of either schema: what `--json` of the main job, of `publish` or of `subscribe` wrote.
    ///
    /// # Errors
    /// Not JSON, another schema, or a field missing.
    ///
    /// # Examples
    /// ```
    /// use malaria_bench::record::Finished;
    ///
    /// let error = Finished::from_json(r#"{ "schema": "malaria-bench/9" }"#).unwrap_err();
    /// assert!(error.to_string().contains("malaria-bench/9"));
    /// ```
    pub fn from_json(text: &str) -> Result<Finished, RecordError> {
        let header: Header = serde_json::from_str(text)?;
        match header {
            Header { malaria_bench: Some(_), .. } => {
                Ok(Finished::Fleet(Box::new(FleetRecord::from_json(text)?)))
            }
            Header { schema: Some(schema), .. } if schema == FLEET_SCHEMA => {
                Ok(Finished::Fleet(Box::new(FleetRecord::from_json(text)?)))
            }
            Header { schema: Some(schema), .. } if schema == SCHEMA => {
                Ok(Finished::Run(Box::new(Record::from_json(text)?)))
            }
            Header { schema: Some(found), .. } => Err(RecordError::Schema { found, reads: BOTH }),
            Header { schema: None, .. } => Err(RecordError::Absent),
        }
    }
}

const BOTH: &str = "malaria-bench/1` and `malaria-bench/fleet/1";

/// What tells the documents apart.
#[derive(Deserialize)]
struct Header {
    schema: Option<String>,
    malaria_bench: Option<Inner>,
}

#[derive(Deserialize)]
struct Inner {
    schema: String,
}

impl FleetRecord {
    /// Reads the record of a fleet: by itself, or under `malaria_bench` in what `publish --json` and
    /// `subscribe --json` write.
    ///
    /// # Errors
    /// Not JSON, another schema, or a field missing.
    pub fn from_json(text: &str) -> Result<FleetRecord, RecordError> {
        #[derive(Deserialize)]
        struct Document {
            malaria_bench: FleetRecord,
        }
        // another schema may have any shape, so its name is looked at first
        let Header { schema, malaria_bench } = serde_json::from_str(text)?;
        let within = malaria_bench.map(|inner| inner.schema);
        let mut record: FleetRecord = match (&within, schema) {
            (Some(found), _) if found == FLEET_SCHEMA => {
                serde_json::from_str::<Document>(text)?.malaria_bench
            }
            (None, Some(found)) if found == FLEET_SCHEMA => serde_json::from_str(text)?,
            (Some(found), _) => {
                return Err(RecordError::Schema { found: found.clone(), reads: FLEET_SCHEMA });
            }
            (None, Some(found)) => return Err(RecordError::Schema { found, reads: FLEET_SCHEMA }),
            (None, None) => return Err(RecordError::Absent),
        };
        record.complete();
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fleet_samples::{lossy, published, self_check, subscribed};
    use crate::record::samples::{broken, clean, idle};
    use crate::report::fleet::{publish_json, subscribe_json};

    #[test]
    fn every_document_is_read_as_what_it_is() {
        for record in [clean(), broken()] {
            let text = serde_json::to_string(&record).expect("plain data");
            assert_eq!(Finished::from_json(&text).expect("ours"), Finished::Run(Box::new(record)));
        }
        for record in [published(), lossy()] {
            let bare = serde_json::to_string(&record).expect("plain data");
            for text in [bare, publish_json(&record), subscribe_json(&record)] {
                assert_eq!(FleetRecord::from_json(&text).expect("ours"), record);
                assert_eq!(
                    Finished::from_json(&text).expect("ours"),
                    Finished::Fleet(Box::new(record.clone()))
                );
            }
        }
    }

    /// There is one judge: what a file says of the verdict is what the rules make of the rest of it.
    #[test]
    fn a_record_that_is_read_is_judged_as_one_that_was_made() {
        let runs =
            [clean(), broken(), idle()].map(|record| serde_json::to_value(record).expect("plain data"));
        let fleets = [published(), subscribed(), self_check(), lossy()];
        let fleets = fleets.map(|record| serde_json::to_value(record).expect("plain data"));
        for made in runs.into_iter().chain(fleets) {
            let mut forgotten = made.clone();
            (forgotten["verdict"], forgotten["verdict_reasons"]) = ("unknown".into(), serde_json::json!([]));
            let mut forged = made.clone();
            forged["verdict"] = "generator-limited".into();
            forged["verdict_reasons"] = serde_json::json!(["it was tired"]);
            for text in [&made, &forgotten, &forged].map(ToString::to_string) {
                let read = match Finished::from_json(&text).expect("ours") {
                    Finished::Run(record) => serde_json::to_value(record),
                    Finished::Fleet(record) => serde_json::to_value(record),
                };
                assert_eq!(read.expect("plain data"), made);
            }
        }
    }

    #[test]
    fn what_is_no_record_is_refused_by_name() {
        let refused = |text: &str| Finished::from_json(text).expect_err(text).to_string();
        assert_eq!(
            refused(r#"{ "schema": "malaria-bench/2", "plan": 7 }"#),
            "the record's schema is `malaria-bench/2`; this version reads `malaria-bench/1` and \
             `malaria-bench/fleet/1`"
        );
        assert_eq!(
            refused(r#"{ "clientid": "x", "malaria_bench": { "schema": "malaria-bench/fleet/2" } }"#),
            "the record's schema is `malaria-bench/fleet/2`; this version reads `malaria-bench/fleet/1`"
        );
        assert_eq!(refused(r#"{ "sent": 7 }"#), "not a record: it has neither `schema` nor `malaria_bench`");
        for text in ["", "{", "[7]", "\"malaria-bench/1\"", r#"{ "schema": "malaria-bench/fleet/1" }"#] {
            assert!(refused(text).starts_with("not a record: "), "{text}");
        }
    }
}
