//! A study of one black image that is nobody's: the viewer that stands ready opens it, so that its program, its decoder and its drawing are
//! warm when the reader opens a case (P23). It is made here, is the same for everybody, and never leaves `/viewer/blank`.

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::archive::jpegls;

/// Study, series and instance; derived from no name (2.25, PS3.5 B.2). The viewer's configuration knows the first.
const STUDY: &str = "2.25.299792458";
const SERIES: &str = "2.25.299792458.1";
const INSTANCE: &str = "2.25.299792458.1.1";
/// Pixels on each side.
const SIDE: u16 = 64;
const BOUNDARY: &str = "blank";

/// DICOM JSON (PS3.18 F.2) of (tag, VR, value).
fn dataset(elements: &[(&str, &str, Value)]) -> Value {
    let of = |(tag, vr, value): &(&str, &str, Value)| {
        let values = match value {
            Value::Array(all) => all.clone(),
            one => vec![one.clone()],
        };
        let said = if values == [json!("")] {
            json!({ "vr": vr })
        } else {
            json!({ "vr": vr, "Value": values })
        };
        ((*tag).to_owned(), said)
    };
    Value::Object(elements.iter().map(of).collect::<Map<_, _>>())
}

fn study() -> Value {
    json!([dataset(&[
        ("00080005", "CS", json!("ISO_IR 192")),
        ("00080020", "DA", json!("")),
        ("00080050", "SH", json!("")),
        ("00080061", "CS", json!("CT")),
        ("00100010", "PN", json!("")),
        ("00100020", "LO", json!("")),
        ("0020000D", "UI", json!(STUDY)),
        ("00201208", "IS", json!(1)),
    ])])
}

fn series() -> Value {
    json!([dataset(&[
        ("00080060", "CS", json!("CT")),
        ("0020000D", "UI", json!(STUDY)),
        ("0020000E", "UI", json!(SERIES)),
        ("00200011", "IS", json!(1)),
        ("00201209", "IS", json!(1)),
    ])])
}

fn metadata() -> Value {
    json!([dataset(&[
        ("00080008", "CS", json!(["DERIVED", "PRIMARY", "AXIAL"])),
        ("00080016", "UI", json!("1.2.840.10008.5.1.4.1.1.2")),
        ("00080018", "UI", json!(INSTANCE)),
        ("00080060", "CS", json!("CT")),
        ("0020000D", "UI", json!(STUDY)),
        ("0020000E", "UI", json!(SERIES)),
        ("00200011", "IS", json!(1)),
        ("00200013", "IS", json!(1)),
        ("00200032", "DS", json!([0, 0, 0])),
        ("00200037", "DS", json!([1, 0, 0, 0, 1, 0])),
        ("00200052", "UI", json!(SERIES)),
        ("00280002", "US", json!(1)),
        ("00280004", "CS", json!("MONOCHROME2")),
        ("00280010", "US", json!(SIDE)),
        ("00280011", "US", json!(SIDE)),
        ("00280030", "DS", json!([1, 1])),
        ("00280100", "US", json!(16)),
        ("00280101", "US", json!(16)),
        ("00280102", "US", json!(15)),
        ("00280103", "US", json!(0)),
        ("00281050", "DS", json!(40)),
        ("00281051", "DS", json!(400)),
        ("00281052", "DS", json!(0)),
        ("00281053", "DS", json!(1)),
    ])])
}

/// The black frame in lossless JPEG-LS, as frames of cases come to the viewer.
fn frame() -> Option<Bytes> {
    let samples = vec![0; usize::from(SIDE) * usize::from(SIDE) * 2];
    let coded = jpegls::encode(&samples, SIDE, SIDE, 2)?;
    let mut body = format!(
        "--{BOUNDARY}\r\nContent-Type: image/jls; transfer-syntax=1.2.840.10008.1.2.4.80\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(&coded);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    Some(body.into())
}

fn answer(kind: &'static str, body: impl Into<Bytes>) -> Response {
    let mut answer = body.into().into_response();
    super::isolate(answer.headers_mut(), "public, max-age=86400");
    let kind = HeaderValue::from_static(kind);
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

fn said(value: &Value) -> Response {
    answer("application/dicom+json", value.to_string())
}

/// The services that a viewer asks for a study, for this one study.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let frame = frame();
    let pixels = move || async move {
        match frame {
            Some(frame) => answer(
                "multipart/related; type=\"image/jls\"; boundary=blank",
                frame,
            ),
            None => StatusCode::NOT_FOUND.into_response(),
        }
    };
    let below = format!("/viewer/blank/studies/{STUDY}/series");
    let image = format!("{below}/{SERIES}/instances/{INSTANCE}/frames/1");
    Router::new()
        .route("/viewer/blank/studies", get(|| async { said(&study()) }))
        .route(&below, get(|| async { said(&series()) }))
        .route(
            &format!("{below}/{SERIES}/metadata"),
            get(|| async { said(&metadata()) }),
        )
        .route(&image, get(pixels))
}
