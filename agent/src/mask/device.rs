//! A kind of pictures of one device: what decides where a banner is burned in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// More characters of a maker's or a model's name are not looked at.
const LETTERS: usize = 64;

/// What a device makes. A banner lies elsewhere in each, and a rule for one says nothing about another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Still or moving ultrasound.
    Ultrasound,
    /// Plain films, mammograms, dental images.
    Radiograph,
    /// Angiography, fluoroscopy, tomosynthesis, intravascular images.
    Angiography,
    /// CT, MR, NM, PET.
    Section,
    /// Photographs: endoscopy, microscopy, ophthalmology, skin.
    Photograph,
    /// The overlay planes of plain films and of angiography (P25), and not the pixels below them.
    Overlay,
}

impl Family {
    /// Every one, with the word that stands in a row.
    pub const ALL: [Self; 6] = [
        Self::Ultrasound,
        Self::Radiograph,
        Self::Angiography,
        Self::Section,
        Self::Photograph,
        Self::Overlay,
    ];

    /// The word that stands in a row.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ultrasound => "ultrasound",
            Self::Radiograph => "radiograph",
            Self::Angiography => "angiography",
            Self::Section => "section",
            Self::Photograph => "photograph",
            Self::Overlay => "overlay",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No family is called so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("one of ultrasound, radiograph, angiography, section, photograph, overlay")]
pub struct NoFamily;

impl FromStr for Family {
    type Err = NoFamily;

    fn from_str(text: &str) -> Result<Self, NoFamily> {
        let found = Self::ALL.into_iter().find(|it| it.as_str() == text);
        found.ok_or(NoFamily)
    }
}

/// A kind of pictures of one device.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Device {
    /// What it makes.
    pub family: Family,
    /// (0008,0070), as it is compared.
    pub manufacturer: String,
    /// (0008,1090), as it is compared.
    pub model: String,
    /// (0028,0010).
    pub rows: u32,
    /// (0028,0011).
    pub columns: u32,
}

impl Device {
    /// By what its headers say; none when they name neither maker nor model, or no size: a rule for such a one would meet others.
    #[must_use]
    pub fn new(
        family: Family,
        manufacturer: &str,
        model: &str,
        rows: u32,
        columns: u32,
    ) -> Option<Self> {
        let (manufacturer, model) = (plain(manufacturer), plain(model));
        let named = !(manufacturer.is_empty() && model.is_empty());
        (named && rows > 0 && columns > 0).then_some(Self {
            family,
            manufacturer,
            model,
            rows,
            columns,
        })
    }
}

/// In capitals, without control characters, with one space between words.
fn plain(name: &str) -> String {
    let name: String = name
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(LETTERS)
        .collect();
    let words: Vec<String> = name.split_whitespace().map(str::to_uppercase).collect();
    words.join(" ")
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [&self.manufacturer, &self.model];
        for part in named.into_iter().filter(|part| !part.is_empty()) {
            write!(f, "{part} ")?;
        }
        write!(f, "{} × {}, {}", self.columns, self.rows, self.family)
    }
}
