//! Character sets by name: those of table 0211, and those that occur without being in it.

/// A character set that messages can be read in.
///
/// | here | table 0211 | as the envelope and HTTP name it |
/// | --- | --- | --- |
/// | `Ascii` | `ASCII` | `ASCII` |
/// | `Latin1` | `8859/1` | `ISO-8859-1` |
///
/// and so on: [`Charset::all`] has every one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Charset {
    /// US-ASCII.
    Ascii,
    /// UTF-8.
    Utf8,
    /// UTF-16, in either byte order: by its mark, by its first letters, else the high byte first.
    Utf16,
    /// ISO 8859-1, where every byte is the code point of the same number.
    Latin1,
    /// ISO 8859-2, central Europe.
    Latin2,
    /// ISO 8859-3, southern Europe.
    Latin3,
    /// ISO 8859-4, the Baltic.
    Latin4,
    /// ISO 8859-5, Cyrillic.
    Cyrillic,
    /// ISO 8859-6, Arabic.
    Arabic,
    /// ISO 8859-7, Greek.
    Greek,
    /// ISO 8859-8, Hebrew.
    Hebrew,
    /// ISO 8859-9, Turkish.
    Latin5,
    /// ISO 8859-15: 8859-1 with the euro.
    Latin9,
    /// GB 18030, China.
    Gb18030,
    /// Big5, Taiwan and Hong Kong.
    Big5,
    /// KS X 1001 as EUC-KR, with Microsoft's additions.
    EucKr,
    /// JIS X 0201 and 0208 (ISO IR14, ISO IR87), switched by ISO 2022's escape sequences.
    Iso2022Jp,
    /// Shift JIS, with Microsoft's additions.
    ShiftJis,
    /// EUC-JP.
    EucJp,
    /// windows-1250, central Europe.
    Windows1250,
    /// windows-1251, Cyrillic.
    Windows1251,
    /// windows-1252, western Europe: 8859-1 with quotation marks, dashes and the euro in place of control characters.
    Windows1252,
    /// windows-1253, Greek.
    Windows1253,
    /// windows-1254, Turkish.
    Windows1254,
    /// windows-1255, Hebrew.
    Windows1255,
    /// windows-1256, Arabic.
    Windows1256,
    /// windows-1257, the Baltic.
    Windows1257,
    /// windows-1258, Vietnamese.
    Windows1258,
}

/// What a set is called, and by what other names it goes.
struct Names {
    charset: Charset,
    /// IANA's, but for ASCII, which all call so.
    name: &'static str,
    /// Table 0211's; empty where the table does not have the set.
    table: &'static str,
    /// Lower case, letters and digits alone; so also matched are `ISO_8859-1`, `iso 8859/1`.
    aliases: &'static [&'static str],
}

const fn names(
    charset: Charset,
    name: &'static str,
    table: &'static str,
    aliases: &'static [&'static str],
) -> Names {
    Names {
        charset,
        name,
        table,
        aliases,
    }
}

/// In the order of [`Charset`].
#[rustfmt::skip]
const NAMES: [Names; 28] = [
    names(Charset::Ascii, "ASCII", "ASCII", &["ascii", "usascii", "isoir6", "iso646", "iso646us", "ansix341968"]),
    names(Charset::Utf8, "UTF-8", "UNICODE UTF-8", &["utf8", "unicodeutf8", "unicode", "iso10646"]),
    names(Charset::Utf16, "UTF-16", "UNICODE UTF-16", &["utf16", "unicodeutf16", "utf16le", "utf16be"]),
    names(Charset::Latin1, "ISO-8859-1", "8859/1", &["88591", "iso88591", "latin1", "isoir100"]),
    names(Charset::Latin2, "ISO-8859-2", "8859/2", &["88592", "iso88592", "latin2", "isoir101"]),
    names(Charset::Latin3, "ISO-8859-3", "8859/3", &["88593", "iso88593", "latin3", "isoir109"]),
    names(Charset::Latin4, "ISO-8859-4", "8859/4", &["88594", "iso88594", "latin4", "isoir110"]),
    names(Charset::Cyrillic, "ISO-8859-5", "8859/5", &["88595", "iso88595", "isoir144"]),
    names(Charset::Arabic, "ISO-8859-6", "8859/6", &["88596", "iso88596", "isoir127"]),
    names(Charset::Greek, "ISO-8859-7", "8859/7", &["88597", "iso88597", "isoir126"]),
    names(Charset::Hebrew, "ISO-8859-8", "8859/8", &["88598", "iso88598", "isoir138"]),
    names(Charset::Latin5, "ISO-8859-9", "8859/9", &["88599", "iso88599", "latin5", "isoir148"]),
    names(Charset::Latin9, "ISO-8859-15", "8859/15", &["885915", "iso885915", "latin9", "isoir203"]),
    names(Charset::Gb18030, "GB18030", "GB 18030-2000", &["gb18030", "gb180302000", "gb180302005", "gbk", "gb2312", "cp936", "windows936"]),
    names(Charset::Big5, "Big5", "BIG-5", &["big5", "big5hkscs", "cp950", "windows950"]),
    names(Charset::EucKr, "EUC-KR", "KS X 1001", &["ksx1001", "ksc5601", "euckr", "cp949", "ms949", "windows949"]),
    names(Charset::Iso2022Jp, "ISO-2022-JP", "ISO IR87", &["isoir87", "isoir14", "iso2022jp", "jisx0208", "jisx0201"]),
    names(Charset::ShiftJis, "Shift_JIS", "", &["shiftjis", "sjis", "cp932", "ms932", "windows31j", "windows932"]),
    names(Charset::EucJp, "EUC-JP", "", &["eucjp", "ujis"]),
    names(Charset::Windows1250, "windows-1250", "", &["windows1250", "cp1250", "win1250", "1250"]),
    names(Charset::Windows1251, "windows-1251", "", &["windows1251", "cp1251", "win1251", "1251"]),
    names(Charset::Windows1252, "windows-1252", "", &["windows1252", "cp1252", "win1252", "1252", "ansi"]),
    names(Charset::Windows1253, "windows-1253", "", &["windows1253", "cp1253", "win1253", "1253"]),
    names(Charset::Windows1254, "windows-1254", "", &["windows1254", "cp1254", "win1254", "1254"]),
    names(Charset::Windows1255, "windows-1255", "", &["windows1255", "cp1255", "win1255", "1255"]),
    names(Charset::Windows1256, "windows-1256", "", &["windows1256", "cp1256", "win1256", "1256"]),
    names(Charset::Windows1257, "windows-1257", "", &["windows1257", "cp1257", "win1257", "1257"]),
    names(Charset::Windows1258, "windows-1258", "", &["windows1258", "cp1258", "win1258", "1258"]),
];

impl Charset {
    /// Every one of them, in the order of the table.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMES.iter().map(|names| names.charset)
    }

    fn names(self) -> &'static Names {
        &NAMES[self as usize]
    }

    /// The name in an envelope and in HTTP: IANA's, but for ASCII.
    pub fn name(self) -> &'static str {
        self.names().name
    }

    /// Its names in lower case, letters and digits alone.
    pub fn aliases(self) -> &'static [&'static str] {
        self.names().aliases
    }

    /// MSH-18's word for it: table 0211's, or [`name`](Self::name) where that has none.
    pub fn table_0211(self) -> &'static str {
        match self.names() {
            Names {
                table: "", name, ..
            } => name,
            Names { table, .. } => table,
        }
    }

    /// A name's letters and digits, in lower case: what names are compared by.
    pub fn squeezed(name: &str) -> String {
        name.chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|letter| letter.to_ascii_lowercase())
            .collect()
    }

    /// By any of its names; the flag says that it is not table 0211's. Case, blanks and punctuation do not matter.
    pub fn by_name(name: &str) -> Option<(Self, bool)> {
        let name = name.trim();
        let squeezed = Self::squeezed(name);
        let known = |names: &&Names| names.aliases.contains(&squeezed.as_str());
        let names = NAMES.iter().find(known)?;
        // Both are JIS's, and in the table.
        let in_table = name == names.table || matches!(name, "ISO IR6" | "ISO IR14" | "UNICODE");
        Some((names.charset, !in_table))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_place_and_is_found_by_every_name() {
        for (at, names) in NAMES.iter().enumerate() {
            assert_eq!(names.charset as usize, at, "{}", names.name);
            for name in [names.name, names.charset.table_0211()] {
                let found = Charset::by_name(name).map(|found| found.0);
                assert_eq!(found, Some(names.charset), "{name}");
            }
            for alias in names.aliases {
                let found = Charset::by_name(alias).map(|found| found.0);
                assert_eq!(found, Some(names.charset), "{alias}");
            }
        }
        assert_eq!(
            Charset::by_name("8859/15"),
            Some((Charset::Latin9, false)),
            "in the table"
        );
        assert_eq!(
            Charset::by_name(" iso_8859-15 "),
            Some((Charset::Latin9, true)),
            "not in the table"
        );
        for unknown in [
            "",
            "EBCDIC",
            "UNICODE UTF-32",
            "CNS 11643-1992",
            "ISO IR159",
        ] {
            assert_eq!(Charset::by_name(unknown), None, "{unknown}");
        }
    }
}
