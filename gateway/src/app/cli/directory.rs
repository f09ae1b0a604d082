//! `site …`.

use causeway_proto::ids::SiteId;
use clap::{Args, Subcommand};
use serde_json::json;

use super::super::{Failure, Opened};
use super::{Out, list};
use crate::directory::{self, DirectoryError, NewAgreement, NewSite};

/// Who acts when the command line does.
pub(super) const ACTOR: &str = "operator";

#[derive(Debug, Subcommand)]
pub(super) enum Site {
    /// Add a site, with its agreement when an organisation is named, and print its enrolment code.
    Add(Box<AddSite>),
    /// Print a new enrolment code for a site.
    Code {
        /// The site.
        #[arg(long)]
        site: SiteId,
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// All sites with their certificates.
    List {
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// Revoke every certificate of a site and end its outstanding codes; a live connection ends within a minute.
    Revoke {
        /// The site.
        #[arg(long)]
        site: SiteId,
        /// Why, for the trail.
        #[arg(long, default_value = "revoked by an operator")]
        reason: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct AddSite {
    /// The hospital's name.
    #[arg(long)]
    name: String,
    /// Two letters of ISO 3166, such as GR.
    #[arg(long)]
    country: String,
    /// An IANA time zone, such as Europe/Athens.
    #[arg(long)]
    time_zone: String,
    /// The language of its reports, such as el.
    #[arg(long)]
    language: String,
    /// Where somebody answers.
    #[arg(long)]
    phone: String,
    /// An identifier of your own; made from the name otherwise.
    #[arg(long)]
    id: Option<SiteId>,
    /// The reading organisation of its first agreement.
    #[arg(long)]
    organisation: Option<String>,
    /// Under that agreement names, numbers and dates of birth leave the site as they are; otherwise they stay there.
    #[arg(long, requires = "organisation")]
    identified: bool,
    /// Reports with the headings of older readers of structured reports.
    #[arg(long)]
    legacy_headings: bool,
    /// For scripts.
    #[arg(long)]
    json: bool,
}

pub(super) fn failure(error: DirectoryError) -> Failure {
    match error {
        DirectoryError::Value { .. }
        | DirectoryError::NoSite(_)
        | DirectoryError::NoAgreement(_) => Failure::usage(error),
        DirectoryError::Exists(_) | DirectoryError::Ended(_) => Failure::conflict(error),
        other => Failure::storage(other),
    }
}

pub(super) async fn site(command: Site, opened: &Opened, out: &Out) -> Result<(), Failure> {
    let parts = &opened.parts;
    match command {
        Site::Add(new) => add_site(*new, opened, out).await,
        Site::Code { site, json } => {
            let fingerprint = parts.link_authority.fingerprint();
            let code = directory::issue_code(
                &parts.rows,
                &parts.clock,
                &parts.random,
                ACTOR,
                &fingerprint,
                &site,
            )
            .await
            .map_err(failure)?;
            if json {
                return out.line(&json!({ "site": site, "code": code.to_string() }).to_string());
            }
            out.line(&format!("enrolment code  {code}"))?;
            out.line("It holds for one hour and enrols once. Nobody can show it again.")
        }
        Site::List { json } => list_sites(opened, json, out).await,
        Site::Revoke { site, reason } => {
            let count = directory::revoke_site(&parts.rows, &parts.clock, ACTOR, &site, &reason)
                .await
                .map_err(failure)?;
            out.line(&format!(
                "certificates of {site} revoked: {count}; a live connection ends within a minute, `site code --site {site}` lets the site in again"
            ))
        }
    }
}

async fn add_site(new: AddSite, opened: &Opened, out: &Out) -> Result<(), Failure> {
    let parts = &opened.parts;
    let (rows, clock, random) = (&parts.rows, &parts.clock, &parts.random);
    let wanted = NewSite {
        id: new.id,
        name: new.name,
        country: new.country,
        time_zone: new.time_zone,
        language: new.language,
        phone: new.phone,
        legacy_headings: new.legacy_headings,
    };
    let site = directory::add_site(rows, clock, random, ACTOR, &wanted)
        .await
        .map_err(failure)?;
    let mut agreement = None;
    if let Some(organisation) = new.organisation {
        let wanted = NewAgreement {
            identified: new.identified,
            ..NewAgreement::between(site.id.clone(), organisation)
        };
        let added = directory::add_agreement(rows, clock, random, ACTOR, &wanted)
            .await
            .map_err(failure)?;
        agreement = Some(added.terms);
    }
    let fingerprint = parts.link_authority.fingerprint();
    let code = directory::issue_code(rows, clock, random, ACTOR, &fingerprint, &site.id)
        .await
        .map_err(failure)?;
    if new.json {
        let (id, identity) = agreement.map(|terms| (terms.id, terms.identity)).unzip();
        let said = json!({ "site": site.id, "agreement": id, "identity": identity, "code": code.to_string() });
        return out.line(&said.to_string());
    }
    out.line(&format!("site            {}", site.id))?;
    match agreement {
        Some(terms) => out.line(&format!("agreement       {}, {}", terms.id, terms.identity))?,
        None => out.line("agreement       none yet: `agreement add` makes one, and without it nothing can be sent")?,
    }
    out.line(&format!("enrolment code  {code}"))?;
    out.line("The code holds for one hour and enrols once. At the hospital:")?;
    out.line(&format!(
        "  causeway-agent --config agent.toml enrol --gateway HOST:PORT --code {code}"
    ))
}

async fn list_sites(opened: &Opened, json: bool, out: &Out) -> Result<(), Failure> {
    let rows = &opened.parts.rows;
    let sites = directory::sites(rows).await.map_err(failure)?;
    let certificates = directory::certificates(rows).await.map_err(failure)?;
    let lines = sites.into_iter().map(|site| {
        let newest = certificates.iter().find(|one| one.site == site.id);
        let (state, until) = match newest {
            None => ("not enrolled", None),
            Some(one) if one.revoked.is_some() => ("revoked", None),
            Some(one) => ("enrolled", Some(one.not_after)),
        };
        let until = until.map(|at| at.to_string());
        let value = json!({
            "site": site.id, "name": site.name, "country": site.country, "time_zone": site.time_zone,
            "language": site.language, "phone": site.phone, "state": state, "certificate_until": until,
            "serial": newest.map(|one| one.serial.clone()),
        });
        let until = until.map_or_else(String::new, |at| format!(" until {at}"));
        (value, format!("{}  {}  {}  {state}{until}", site.id, site.country, site.name))
    });
    list(out, json, lines.collect())
}
