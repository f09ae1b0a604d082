//! Peers that are not ours: Orthanc as the hospital's PACS, DCMTK, dicom3tools and PixelMed as judges of the report, DCMTK as a decoder.

#[cfg(test)]
mod agent;
#[cfg(test)]
mod bad;
#[cfg(test)]
mod coded;
#[cfg(test)]
mod commitment;
#[cfg(test)]
mod corrected;
#[cfg(test)]
mod dicomweb;
#[cfg(test)]
mod kept;
#[cfg(test)]
mod orthanc;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod query;
#[cfg(test)]
mod verdicts;
