//! The words with which every form of a report begins and ends (P12, P29), in the language of the report: who answers for it,
//! where, since when, and under which number he is reached.

use super::model::{Language, Paragraph, Person, Report, Role, Stamp, Standing};

/// The words of one language.
struct Words {
    tag: &'static str,
    preliminary: &'static str,
    read: &'static str,
    read_and_verified: &'static str,
    verified: &'static str,
    role: &'static str,
    registration: &'static str,
    organisation: &'static str,
    country: &'static str,
    signed: &'static str,
    phone: &'static str,
    /// Physician, consultant, fellow, registrar, resident.
    roles: [&'static str; 5],
}

const ENGLISH: Words = Words {
    tag: "en",
    preliminary: "Not verified; a final report will follow.",
    read: "Read and reported by",
    read_and_verified: "Read, reported and verified by",
    verified: "Verified by",
    role: "Role",
    registration: "Registration",
    organisation: "Organisation",
    country: "Read in",
    signed: "Signed",
    phone: "Telephone, day and night",
    roles: ["Physician", "Consultant", "Fellow", "Registrar", "Resident"],
};

const WORDS: [Words; 5] = [
    Words {
        tag: "de",
        preliminary: "Nicht freigegeben; ein endgültiger Befund folgt.",
        read: "Befundet von",
        read_and_verified: "Befundet und freigegeben von",
        verified: "Freigegeben von",
        role: "Funktion",
        registration: "Arztregister",
        organisation: "Organisation",
        country: "Befundet in",
        signed: "Unterzeichnet",
        phone: "Telefon, Tag und Nacht",
        roles: ["Arzt", "Oberarzt", "Fellow", "Facharzt", "Assistenzarzt"],
    },
    Words {
        tag: "el",
        preliminary: "Δεν έχει επικυρωθεί· ακολουθεί οριστική γνωμάτευση.",
        read: "Γνωμάτευση από",
        read_and_verified: "Γνωμάτευση και επικύρωση από",
        verified: "Επικύρωση από",
        role: "Ιδιότητα",
        registration: "Αριθμός μητρώου",
        organisation: "Οργανισμός",
        country: "Χώρα γνωμάτευσης",
        signed: "Υπογραφή",
        phone: "Τηλέφωνο όλο το 24ωρο",
        roles: [
            "Ιατρός",
            "Διευθυντής",
            "Εξειδικευόμενος",
            "Επιμελητής",
            "Ειδικευόμενος",
        ],
    },
    Words {
        tag: "fr",
        preliminary: "Non validé ; un compte rendu définitif suivra.",
        read: "Interprété par",
        read_and_verified: "Interprété et validé par",
        verified: "Validé par",
        role: "Fonction",
        registration: "Inscription à l'ordre",
        organisation: "Organisation",
        country: "Interprété en",
        signed: "Signé",
        phone: "Téléphone, jour et nuit",
        roles: [
            "Médecin",
            "Médecin senior",
            "Fellow",
            "Chef de clinique",
            "Interne",
        ],
    },
    Words {
        tag: "it",
        preliminary: "Non validato; seguirà il referto definitivo.",
        read: "Refertato da",
        read_and_verified: "Refertato e validato da",
        verified: "Validato da",
        role: "Ruolo",
        registration: "Iscrizione all'albo",
        organisation: "Organizzazione",
        country: "Refertato in",
        signed: "Firmato",
        phone: "Telefono, giorno e notte",
        roles: [
            "Medico",
            "Dirigente medico",
            "Fellow",
            "Specialista",
            "Specializzando",
        ],
    },
    Words {
        tag: "es",
        preliminary: "No validado; seguirá un informe definitivo.",
        read: "Informado por",
        read_and_verified: "Informado y validado por",
        verified: "Validado por",
        role: "Función",
        registration: "Número de colegiado",
        organisation: "Organización",
        country: "Informado en",
        signed: "Firmado",
        phone: "Teléfono, día y noche",
        roles: [
            "Médico",
            "Médico adjunto",
            "Fellow",
            "Especialista",
            "Residente",
        ],
    },
];

const ROLES: [Role; 5] = [
    Role::Physician,
    Role::Consultant,
    Role::Fellow,
    Role::Registrar,
    Role::Resident,
];

fn words(language: &Language) -> &'static Words {
    let primary = language.as_str().split('-').next().unwrap_or_default();
    WORDS
        .iter()
        .find(|words| words.tag == primary)
        .unwrap_or(&ENGLISH)
}

/// The first lines of a preliminary report; the first word is the same in every language.
#[must_use]
pub fn preliminary(language: &Language) -> Paragraph {
    Paragraph::joined(&format!("PRELIMINARY\n{}", words(language).preliminary))
}

/// How the text of a withdrawn report begins (P17), the same in every language.
pub const WITHDRAWN: &str = "WITHDRAWN, DO NOT USE";

/// One paragraph per person who answers for the report: the author, and the verifier when he is another.
#[must_use]
pub fn closing(report: &Report) -> Vec<Paragraph> {
    let words = words(&report.language);
    match &report.standing {
        Standing::Preliminary => vec![person(
            words,
            words.read,
            &report.author,
            report.observed_at,
        )],
        Standing::Final(verification) if verification.person == report.author => {
            vec![person(
                words,
                words.read_and_verified,
                &report.author,
                verification.at,
            )]
        }
        Standing::Final(verification) => vec![
            person(words, words.read, &report.author, report.observed_at),
            person(words, words.verified, &verification.person, verification.at),
        ],
    }
}

fn person(words: &Words, label: &str, person: &Person, at: Stamp) -> Paragraph {
    let role = ROLES
        .iter()
        .zip(words.roles)
        .find(|(role, _)| **role == person.role);
    let role = role.map_or("", |(_, word)| word);
    let lines = [
        (label, person.full_name().as_str()),
        (words.role, role),
        (words.registration, person.registration.as_str()),
        (words.organisation, person.organisation.as_str()),
        (words.country, person.country.as_str()),
        (words.signed, at.spoken().as_str()),
        (words.phone, person.phone.as_str()),
    ]
    .map(|(label, value)| format!("{label}: {}", single_line(value)));
    Paragraph::joined(&lines.join("\n"))
}

/// A text as one line: control characters become blanks, and there is none at either end.
pub(super) fn single_line(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    text.trim().to_owned()
}

/// What the closing alone says of a person.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) role: Role,
    pub(super) registration: String,
    pub(super) organisation: String,
    pub(super) country: String,
    pub(super) phone: String,
}

/// Reads a paragraph of [`closing`] back.
pub(super) fn told(paragraph: &str, language: &Language) -> Told {
    let values: Vec<&str> = paragraph
        .lines()
        .map(|line| line.split_once(':').map_or("", |(_, value)| value.trim()))
        .collect();
    let value = |index: usize| values.get(index).copied().unwrap_or_default();
    let role = words(language)
        .roles
        .iter()
        .zip(ROLES)
        .find(|(word, _)| **word == value(1));
    Told {
        role: role.map_or(Role::Physician, |(_, role)| role),
        registration: value(2).to_owned(),
        organisation: value(3).to_owned(),
        country: value(4).to_owned(),
        phone: value(6).to_owned(),
    }
}
