//! QIDO-RS (PS3.18 10.6): searching for studies, series and instances, page by page.

use axum::extract::{Path, State as Shared};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use serde_json::Value;

use super::found::Found;
use super::{Caller, Web, multipart, not_acceptable, query, target};
use crate::archive::retrieve::{self, Target};
use crate::archive::search::{self, Criterion, Field, Level, Rule, Scope, Search};
use crate::http::error::Problem;
use crate::rows::Version;

/// No page is longer than this.
const MOST_STUDIES: u32 = 500;
const MOST_SERIES: u32 = 2_000;
const MOST_INSTANCES: u32 = 10_000;
/// With attributes that are no columns, every answer reads an instance's metadata.
const MOST_WITH_FIELDS: u32 = 200;

/// What a site and an agreement take to remember, in bytes.
const PAIR: usize = 256;

/// What the path narrows a search to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Within {
    study: Option<String>,
    series: Option<String>,
}

pub(super) async fn studies(Shared(web): Shared<Web>, caller: Caller) -> Result<Response, Problem> {
    let asked = web.asked(&caller, Level::Study, &Within::default());
    if let Some(answer) = web.remembered(&asked) {
        return answer;
    }
    let (search, query, page) = begin(&caller, Level::Study, &Within::default(), MOST_STUDIES)?;
    let mut hits = search::studies(&web.state.rows, &search).await?;
    let more = cut(&mut hits, page);
    let mut out = Vec::with_capacity(hits.len());
    for held in &hits {
        let hit = &held.study;
        let mut found = Found::study(held, &caller.base);
        let place = (hit.site_id.as_str(), hit.agreement_id.as_str());
        web.fields(
            &mut found,
            &query,
            place,
            target(&hit.study_uid, None, None)?,
        )
        .await?;
        out.push(found);
    }
    web.answer(asked, out, &query, more)
}

pub(super) async fn series(web: Shared<Web>, caller: Caller) -> Result<Response, Problem> {
    any_series(web, caller, Within::default()).await
}

pub(super) async fn series_of_study(
    web: Shared<Web>,
    Path(study): Path<String>,
    caller: Caller,
) -> Result<Response, Problem> {
    let within = Within {
        study: Some(study),
        series: None,
    };
    any_series(web, caller, within).await
}

async fn any_series(
    Shared(web): Shared<Web>,
    caller: Caller,
    within: Within,
) -> Result<Response, Problem> {
    let asked = web.asked(&caller, Level::Series, &within);
    if let Some(answer) = web.remembered(&asked) {
        return answer;
    }
    let (search, query, page) = begin(&caller, Level::Series, &within, MOST_SERIES)?;
    web.must_exist(&caller, &within).await?;
    let mut hits = search::series(&web.state.rows, &search).await?;
    let more = cut(&mut hits, page);
    let mut out = Vec::with_capacity(hits.len());
    for hit in &hits {
        let mut found = Found::series(hit, within.study.is_none(), &caller.base);
        let place = (hit.study.site_id.as_str(), hit.study.agreement_id.as_str());
        let of = target(&hit.study.study_uid, Some(&hit.series_uid), None)?;
        web.fields(&mut found, &query, place, of).await?;
        out.push(found);
    }
    web.answer(asked, out, &query, more)
}

pub(super) async fn instances(web: Shared<Web>, caller: Caller) -> Result<Response, Problem> {
    any_instances(web, caller, Within::default()).await
}

pub(super) async fn instances_of_study(
    web: Shared<Web>,
    Path(study): Path<String>,
    caller: Caller,
) -> Result<Response, Problem> {
    let within = Within {
        study: Some(study),
        series: None,
    };
    any_instances(web, caller, within).await
}

pub(super) async fn instances_of_series(
    web: Shared<Web>,
    Path((study, series)): Path<(String, String)>,
    caller: Caller,
) -> Result<Response, Problem> {
    let within = Within {
        study: Some(study),
        series: Some(series),
    };
    any_instances(web, caller, within).await
}

async fn any_instances(
    Shared(web): Shared<Web>,
    caller: Caller,
    within: Within,
) -> Result<Response, Problem> {
    let asked = web.asked(&caller, Level::Instance, &within);
    if let Some(answer) = web.remembered(&asked) {
        return answer;
    }
    let (search, query, page) = begin(&caller, Level::Instance, &within, MOST_INSTANCES)?;
    web.must_exist(&caller, &within).await?;
    let mut hits = search::instances(&web.state.rows, &search).await?;
    let more = cut(&mut hits, page);
    let mut out = Vec::with_capacity(hits.len());
    for hit in &hits {
        let (series, study) = (&hit.series, &hit.series.study);
        let mut found = Found::instance(
            hit,
            within.study.is_none(),
            within.series.is_none(),
            &caller.base,
        );
        let place = (study.site_id.as_str(), study.agreement_id.as_str());
        let of = target(
            &study.study_uid,
            Some(&series.series_uid),
            Some(&hit.sop_uid),
        )?;
        web.fields(&mut found, &query, place, of).await?;
        out.push(found);
    }
    web.answer(asked, out, &query, more)
}

/// The search that a request means, and how long its page is. One more is asked for, to know whether there is more.
fn begin(
    caller: &Caller,
    level: Level,
    within: &Within,
    most: u32,
) -> Result<(Search, query::Query, u32), Problem> {
    if !takes_json(caller) {
        return Err(not_acceptable("application/dicom+json"));
    }
    let query = query::parse(&caller.query, level)?;
    let fields = query.include_all || !query.include.is_empty();
    let most = if fields { MOST_WITH_FIELDS } else { most };
    let page = query.limit.unwrap_or(most).min(most);
    let mut criteria = query.criteria.clone();
    for (field, uid) in [
        (Field::StudyUid, &within.study),
        (Field::SeriesUid, &within.series),
    ] {
        if let Some(uid) = uid {
            let checked = target(uid, None, None)?.study.to_string();
            let rule = Rule::Text(vec![checked]);
            criteria.push(Criterion { field, rule });
        }
    }
    let search = Search {
        scope: caller.scope(),
        level,
        criteria,
        limit: page + 1,
        offset: query.offset,
    };
    Ok((search, query, page))
}

/// Cuts off the one that was asked for beyond the page, and says whether it was there.
fn cut<T>(hits: &mut Vec<T>, page: u32) -> bool {
    let page = usize::try_from(page).unwrap_or(usize::MAX);
    let more = hits.len() > page;
    hits.truncate(page);
    more
}

impl Web {
    /// Searching below a study that is not there, or not yours, is 404, not an empty list.
    async fn must_exist(&self, caller: &Caller, within: &Within) -> Result<(), Problem> {
        let Some(study) = &within.study else {
            return Ok(());
        };
        self.known(caller, &target(study, within.series.as_deref(), None)?)
            .await
            .map(|_| ())
    }

    /// Adds the attributes that were asked for and are no columns, from the first instance that there is.
    async fn fields(
        &self,
        found: &mut Found,
        query: &query::Query,
        (site, agreement): (&str, &str),
        of: Target,
    ) -> Result<(), Problem> {
        if !query.include_all && query.include.is_empty() {
            return Ok(());
        }
        let (Ok(site), Ok(agreement)) = (site.parse(), agreement.parse()) else {
            return Ok(());
        };
        let rows = &self.state.rows;
        let all = retrieve::metadata(rows, &(site, agreement), &of, 1, 0).await?;
        let named: Vec<String> = query
            .include
            .iter()
            .map(|tag| format!("{:04X}{:04X}", tag.0, tag.1))
            .collect();
        // above the instance "all" means what is said of all its instances: the columns
        let everything = query.include_all && of.instance.is_some();
        if let Some(one) = all.first() {
            found.add(&one.metadata, &named, everything);
        }
        Ok(())
    }
}

/// A search as it was asked, and the state of the rows that it was asked of.
struct Asked {
    version: Option<Version>,
    key: Question,
}

/// All that an answer depends on beside the rows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Question {
    scope: Scope,
    base: String,
    level: Level,
    within: Within,
    query: String,
    accepts_json: bool,
}

impl Question {
    /// How many bytes it takes to remember it.
    fn weight(&self) -> usize {
        let pairs = match &self.scope {
            Scope::All => 0,
            Scope::Pairs(pairs) => pairs.len(),
        };
        let within = [&self.within.study, &self.within.series];
        let within = within.into_iter().flatten().map(String::len);
        size_of::<Self>()
            + pairs * PAIR
            + within.sum::<usize>()
            + self.base.len()
            + self.query.len()
    }
}

/// An answer, with its warnings.
#[derive(Clone, Debug)]
pub(super) struct Answered {
    body: Bytes,
    warnings: Vec<HeaderValue>,
}

impl Web {
    fn asked(&self, caller: &Caller, level: Level, within: &Within) -> Asked {
        Asked {
            version: self.state.rows.version(),
            key: Question {
                scope: caller.scope(),
                base: caller.base.clone(),
                level,
                within: within.clone(),
                query: caller.query.clone(),
                accepts_json: takes_json(caller),
            },
        }
    }

    /// The same question was answered, and nothing was committed since.
    fn remembered(&self, asked: &Asked) -> Option<Result<Response, Problem>> {
        let answered = self.memory.answers.get(asked.version, &asked.key)?;
        Some(answered.response())
    }

    fn answer(
        &self,
        asked: Asked,
        found: Vec<Found>,
        query: &query::Query,
        more: bool,
    ) -> Result<Response, Problem> {
        let all: Vec<Value> = found
            .into_iter()
            .map(|found| Value::Object(found.0))
            .collect();
        let mut texts = Vec::new();
        // PS3.18 8.3.4.4
        if more {
            texts.push("there are additional results that can be requested".to_owned());
        }
        if !query.ignored.is_empty() {
            let which = query.ignored.join(", ");
            texts.push(format!("these attributes are not matched: {which}"));
        }
        let warnings = texts
            .iter()
            .filter_map(|text| HeaderValue::from_str(&format!("299 causeway: {text}")).ok());
        let answered = Answered {
            body: Value::Array(all).to_string().into(),
            warnings: warnings.collect(),
        };
        let response = answered.response();
        let weight = answered.weight() + asked.key.weight();
        let memory = &self.memory.answers;
        memory.put(asked.version, asked.key, answered, weight);
        response
    }
}

impl Answered {
    fn weight(&self) -> usize {
        let warnings = self.warnings.iter();
        let warnings = warnings.map(|warning| size_of::<HeaderValue>() + warning.len());
        size_of::<Self>() + self.body.len() + warnings.sum::<usize>()
    }

    fn response(&self) -> Result<Response, Problem> {
        let mut response = multipart::plain("application/dicom+json", self.body.clone())?;
        for warning in &self.warnings {
            response
                .headers_mut()
                .append(header::WARNING, warning.clone());
        }
        Ok(response)
    }
}

fn takes_json(caller: &Caller) -> bool {
    let offers = caller.offers();
    ["application/dicom+json", "application/json"]
        .into_iter()
        .any(|media| {
            offers
                .iter()
                .any(|offer| !offer.multipart && offer.takes(media))
        })
}
