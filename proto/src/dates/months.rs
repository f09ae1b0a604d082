//! Months by name, and the words around them, without accents and in small letters.

/// A month's name in some language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Month {
    /// An abbreviation.
    pub(super) short: bool,
    /// Another word as well.
    ambiguous: bool,
}

/// Names in full: English, German, French, Spanish, Italian, Portuguese, Dutch, Danish, Norwegian, Swedish, Finnish, Polish, Czech,
/// Slovak, Croatian, Slovene, Romanian, Hungarian, Turkish, Greek, Russian, Bulgarian, Ukrainian; in the cases that dates use.
const FULL: &str = "january february march april may june july august september october november december \
januar februar marz maerz mai juni juli oktober dezember janner jaenner feber \
janvier fevrier mars avril juin juillet aout septembre octobre novembre decembre \
enero febrero marzo abril mayo junio julio agosto septiembre setiembre octubre noviembre diciembre \
gennaio febbraio aprile maggio giugno luglio settembre ottobre dicembre \
janeiro fevereiro marco maio junho julho setembro outubro novembro dezembro \
januari februari maart mei augustus marts maj augusti \
tammikuuta helmikuuta maaliskuuta huhtikuuta toukokuuta kesakuuta heinakuuta elokuuta syyskuuta lokakuuta marraskuuta joulukuuta \
stycznia lutego marca kwietnia maja czerwca lipca sierpnia wrzesnia pazdziernika listopada grudnia \
styczen luty marzec kwiecien czerwiec lipiec sierpien wrzesien pazdziernik listopad grudzien \
ledna unora brezna dubna kvetna cervna cervence srpna zari rijna prosince leden unor brezen duben kveten cerven cervenec srpen rijen prosinec \
januara februara aprila juna jula augusta septembra oktobra novembra decembra \
sijecnja veljace ozujka travnja svibnja lipnja srpnja kolovoza rujna studenoga studenog prosinca \
januarja februarja aprila maja junija julija avgusta \
ianuarie februarie martie aprilie iunie iulie septembrie octombrie noiembrie decembrie \
marcius aprilis majus junius julius augusztus szeptember \
ocak subat mart nisan mayis haziran temmuz agustos eylul ekim kasim aralik \
ιανουαριου φεβρουαριου μαρτιου απριλιου μαιου ιουνιου ιουλιου αυγουστου σεπτεμβριου οκτωβριου νοεμβριου δεκεμβριου \
ιανουαριοσ φεβρουαριοσ μαρτιοσ απριλιοσ μαιοσ ιουνιοσ ιουλιοσ αυγουστοσ σεπτεμβριοσ οκτωβριοσ νοεμβριοσ δεκεμβριοσ \
ιανουαριο φεβρουαριο μαρτιο απριλιο μαιο ιουνιο ιουλιο αυγουστο σεπτεμβριο οκτωβριο νοεμβριο δεκεμβριο \
января февраля марта апреля мая июня июля августа сентября октября ноября декабря \
январь февраль март апрель май июнь июль август сентябрь октябрь ноябрь декабрь \
януари февруари април юни юли септември октомври ноември декември \
сичня лютого березня квитня травня червня липня серпня вересня жовтня листопада грудня січня квітня";

/// Abbreviations.
const SHORT: &str = "jan feb mar apr may jun jul aug sep sept oct nov dec \
jann febr marz mrz mai okt dez janv fevr avr juil aou ene abr ago dic set gen mag giu lug ott fev out mrt mei maj \
sty lut kwi cze lip sie wrz paz lis gru ian iun iul noi ιαν φεβ φεβρ μαρ απρ μαι ιουν ιουλ αυγ σεπ σεπτ οκτ νοε νοεμ δεκ янв фев мар апр июн июл авг сен окт ноя дек";

/// Names and abbreviations that are words of their own.
const AMBIGUOUS: &str = "may march mars mai mei mar mart set out lis lip sep dec oct jan gen mag ago lut sie dic maj маj май mai listopad \
μαρ мар сен marts marz mrt gru noi iun lug";

/// Words between the parts of a date, ordinals among them.
const JOINS: &str = "of de del di den der the st nd rd th er e o a η ησ year rok roku г году iou";

/// Words before a date without a year.
const BEFORE: &str = "vom am zum seit bis ab dem den von on of from dated since until before after du le depuis au del dal al el des \
van op sinds tot fran pa den fra til z dnia ze od do από απο στισ τησ την μεχρι от с до ze dne od";

fn has(list: &str, word: &str) -> bool {
    list.split_ascii_whitespace().any(|one| one == word)
}

/// What a word says as the name of a month.
pub(super) fn month(word: &str) -> Option<Month> {
    let full = has(FULL, word);
    (full || has(SHORT, word)).then(|| Month {
        short: !full,
        ambiguous: has(AMBIGUOUS, word),
    })
}

/// Whether it is another word too, or an abbreviation.
pub(super) fn ambiguous(month: Month) -> bool {
    month.ambiguous || month.short
}

/// Whether a word stands between the parts of a date.
pub(super) fn joins(word: &str) -> bool {
    has(JOINS, word)
}

/// Whether a date without a year may stand behind a word.
pub(super) fn introduces(word: &str) -> bool {
    has(BEFORE, word)
}

/// A letter small and without its accent.
pub(super) fn plain(letter: char) -> char {
    let small = letter.to_lowercase().next().unwrap_or(letter);
    match small {
        'à'..='å' | 'ā' | 'ă' | 'ą' => 'a',
        'ç' | 'ć' | 'č' => 'c',
        'ď' => 'd',
        'è'..='ë' | 'ē' | 'ę' | 'ě' => 'e',
        'ğ' => 'g',
        'ì'..='ï' | 'ı' => 'i',
        'ł' => 'l',
        'ñ' | 'ń' | 'ň' => 'n',
        'ò'..='ö' | 'ő' | 'ø' => 'o',
        'ř' => 'r',
        'ś' | 'š' | 'ş' | 'ș' => 's',
        'ť' | 'ţ' | 'ț' => 't',
        'ù'..='ü' | 'ů' | 'ű' => 'u',
        'ý' => 'y',
        'ź' | 'ż' | 'ž' => 'z',
        'ά' => 'α',
        'έ' => 'ε',
        'ή' => 'η',
        'ί' | 'ϊ' | 'ΐ' => 'ι',
        'ό' => 'ο',
        'ύ' | 'ϋ' | 'ΰ' => 'υ',
        'ώ' => 'ω',
        'ς' => 'σ',
        'ё' => 'е',
        other => other,
    }
}
