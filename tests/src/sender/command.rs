//! The few DIMSE messages of a sender (PS3.7 9.3.1, 9.3.5): C-STORE and C-ECHO requests, and reading an answer.

use anyhow::{Context as _, bail};
use dicom_core::{DataElement, VR, dicom_value};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;
use dicom_transfer_syntax_registry::entries::IMPLICIT_VR_LITTLE_ENDIAN;
use dicom_ul::association::client::AsyncClientAssociation;
use dicom_ul::pdu::{PDataValueType, Pdu};
use tokio::net::TcpStream;

const NO_DATASET: u16 = 0x0101;

/// A C-STORE request.
pub(crate) fn store_request(class: &str, instance: &str, message: u16) -> anyhow::Result<Vec<u8>> {
    encode(&[
        DataElement::new(tags::AFFECTED_SOP_CLASS_UID, VR::UI, class),
        DataElement::new(tags::COMMAND_FIELD, VR::US, dicom_value!(U16, [0x0001])),
        DataElement::new(tags::MESSAGE_ID, VR::US, dicom_value!(U16, [message])),
        DataElement::new(tags::PRIORITY, VR::US, dicom_value!(U16, [0])),
        DataElement::new(tags::COMMAND_DATA_SET_TYPE, VR::US, dicom_value!(U16, [0])),
        DataElement::new(tags::AFFECTED_SOP_INSTANCE_UID, VR::UI, instance),
    ])
}

/// A C-ECHO request.
pub(crate) fn echo_request() -> anyhow::Result<Vec<u8>> {
    encode(&[
        DataElement::new(tags::AFFECTED_SOP_CLASS_UID, VR::UI, uids::VERIFICATION),
        DataElement::new(tags::COMMAND_FIELD, VR::US, dicom_value!(U16, [0x0030])),
        DataElement::new(tags::MESSAGE_ID, VR::US, dicom_value!(U16, [1])),
        DataElement::new(
            tags::COMMAND_DATA_SET_TYPE,
            VR::US,
            dicom_value!(U16, [NO_DATASET]),
        ),
    ])
}

/// Whether it is a C-FIND request.
pub(crate) fn is_find(request: &InMemDicomObject) -> bool {
    let field = request.element(tags::COMMAND_FIELD);
    field.is_ok_and(|field| field.to_int::<u16>().is_ok_and(|field| field == 0x0020))
}

/// An answer to `request` that another one follows, with a dataset behind it.
pub(crate) fn pending(request: &InMemDicomObject) -> anyhow::Result<Vec<u8>> {
    answer(request, 0xFF00, 0)
}

/// An answer to `request`, with a status.
pub(crate) fn response(request: &InMemDicomObject, status: u16) -> anyhow::Result<Vec<u8>> {
    answer(request, status, NO_DATASET)
}

fn answer(request: &InMemDicomObject, status: u16, dataset: u16) -> anyhow::Result<Vec<u8>> {
    let number = |tag| {
        request
            .element(tag)
            .ok()
            .and_then(|element| element.to_int::<u16>().ok())
    };
    let mut elements = vec![
        DataElement::new(
            tags::COMMAND_FIELD,
            VR::US,
            dicom_value!(U16, [number(tags::COMMAND_FIELD).unwrap_or(0) | 0x8000]),
        ),
        DataElement::new(
            tags::MESSAGE_ID_BEING_RESPONDED_TO,
            VR::US,
            dicom_value!(U16, [number(tags::MESSAGE_ID).unwrap_or(0)]),
        ),
        DataElement::new(
            tags::COMMAND_DATA_SET_TYPE,
            VR::US,
            dicom_value!(U16, [dataset]),
        ),
        DataElement::new(tags::STATUS, VR::US, dicom_value!(U16, [status])),
    ];
    for tag in [
        tags::AFFECTED_SOP_CLASS_UID,
        tags::AFFECTED_SOP_INSTANCE_UID,
    ] {
        if let Ok(element) = request.element(tag) {
            elements.push(element.clone());
        }
    }
    encode(&elements)
}

fn encode(elements: &[InMemElement]) -> anyhow::Result<Vec<u8>> {
    let command = InMemDicomObject::command_from_element_iter(elements.iter().cloned());
    let mut bytes = Vec::new();
    command.write_dataset_with_ts(&mut bytes, &IMPLICIT_VR_LITTLE_ENDIAN.erased())?;
    Ok(bytes)
}

/// Reads a command set.
pub(crate) fn decode(bytes: &[u8]) -> anyhow::Result<InMemDicomObject> {
    InMemDicomObject::read_dataset_with_ts(bytes, &IMPLICIT_VR_LITTLE_ENDIAN.erased())
        .context("reading a command set")
}

/// Waits for the command set of an answer.
pub(super) async fn receive(
    association: &mut AsyncClientAssociation<TcpStream>,
) -> anyhow::Result<InMemDicomObject> {
    let mut bytes = Vec::new();
    loop {
        match association
            .receive()
            .await
            .context("waiting for an answer")?
        {
            Pdu::PData { data } => {
                for value in data
                    .iter()
                    .filter(|value| value.value_type == PDataValueType::Command)
                {
                    bytes.extend_from_slice(&value.data);
                    if value.is_last {
                        return decode(&bytes);
                    }
                }
            }
            other => bail!("instead of an answer came {}", other.short_description()),
        }
    }
}

/// (0000,0900).
pub(super) fn status(answer: &InMemDicomObject) -> anyhow::Result<u16> {
    Ok(answer.element(tags::STATUS)?.to_int()?)
}

/// (0000,0902), empty when absent.
pub(super) fn comment(answer: &InMemDicomObject) -> String {
    let comment = answer
        .element(tags::ERROR_COMMENT)
        .ok()
        .and_then(|element| element.to_str().ok());
    comment
        .map(|text| text.trim_end_matches(['\0', ' ']).to_owned())
        .unwrap_or_default()
}
