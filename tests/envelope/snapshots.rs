//! Whole envelopes, to be read by people.

use super::{Admitted, WHOLE};

fn pretty(message: &[u8]) -> String {
    format!(
        "{:#}",
        Admitted::new(message).expect("accepted").json(WHOLE)
    )
}

#[test]
fn an_admission_of_2_5_1() {
    let message =
        b"MSH|^~\\&|REGADT|GENHOSP|BRIDGE|CLOUD|20261122101500||ADT^A01^ADT_A01|MSG00001|P|2.5.1\r\
        PID|1||4711^^^GENHOSP&1.2.3.4&ISO^MR~99-12^^^CITY^PI||MUSTER^ERIKA||19700131|F|||\"\"\r\
        OBX|1|TX|NOTE||seen in A\\T\\E\\.br\\twice||||||F\r";
    insta::assert_snapshot!(pretty(message), @r##"
    {
      "specversion": "1.0",
      "id": "MSG00001-eeb240831c1c63a3209515d9ead5d787",
      "type": "org.hl7.v2.ADT.A01",
      "source": "/mllp/adt/REGADT/GENHOSP",
      "time": "2026-11-22T10:15:00.000Z",
      "datacontenttype": "application/json",
      "dataschema": "urn:mllp-bridge:envelope:1",
      "hl7version": "2.5.1",
      "hl7controlid": "MSG00001",
      "data": {
        "raw": "MSH|^~\\&|REGADT|GENHOSP|BRIDGE|CLOUD|20261122101500||ADT^A01^ADT_A01|MSG00001|P|2.5.1\rPID|1||4711^^^GENHOSP&1.2.3.4&ISO^MR~99-12^^^CITY^PI||MUSTER^ERIKA||19700131|F|||\"\"\rOBX|1|TX|NOTE||seen in A\\T\\E\\.br\\twice||||||F\r",
        "charset": "ASCII",
        "structure": "ADT_A01",
        "delimiters": "|^~\\&",
        "segments": [
          {
            "id": "MSH",
            "fields": {
              "1": [
                {
                  "1": "|"
                }
              ],
              "2": [
                {
                  "1": "^~\\&"
                }
              ],
              "3": [
                {
                  "1": "REGADT"
                }
              ],
              "4": [
                {
                  "1": "GENHOSP"
                }
              ],
              "5": [
                {
                  "1": "BRIDGE"
                }
              ],
              "6": [
                {
                  "1": "CLOUD"
                }
              ],
              "7": [
                {
                  "1": "20261122101500"
                }
              ],
              "9": [
                {
                  "1": "ADT",
                  "2": "A01",
                  "3": "ADT_A01"
                }
              ],
              "10": [
                {
                  "1": "MSG00001"
                }
              ],
              "11": [
                {
                  "1": "P"
                }
              ],
              "12": [
                {
                  "1": "2.5.1"
                }
              ]
            }
          },
          {
            "id": "PID",
            "fields": {
              "1": [
                {
                  "1": "1"
                }
              ],
              "3": [
                {
                  "1": "4711",
                  "4": {
                    "1": "GENHOSP",
                    "2": "1.2.3.4",
                    "3": "ISO"
                  },
                  "5": "MR"
                },
                {
                  "1": "99-12",
                  "4": "CITY",
                  "5": "PI"
                }
              ],
              "5": [
                {
                  "1": "MUSTER",
                  "2": "ERIKA"
                }
              ],
              "7": [
                {
                  "1": "19700131"
                }
              ],
              "8": [
                {
                  "1": "F"
                }
              ],
              "11": [
                {
                  "1": "\"\""
                }
              ]
            }
          },
          {
            "id": "OBX",
            "fields": {
              "1": [
                {
                  "1": "1"
                }
              ],
              "2": [
                {
                  "1": "TX"
                }
              ],
              "3": [
                {
                  "1": "NOTE"
                }
              ],
              "5": [
                {
                  "1": "seen in A&E\\.br\\twice"
                }
              ],
              "11": [
                {
                  "1": "F"
                }
              ]
            }
          }
        ],
        "peer": {
          "address": "10.1.0.10"
        },
        "warnings": []
      }
    }
    "##);
}

#[test]
fn a_result_of_2_3_in_8859_1() {
    let message = b"MSH|^~\\&|LAB|KLINIK|BRIDGE|CLOUD|20261122||ORU^R01|42|P|2.3||||||8859/1\r\n\
        PID|1||4711||M\xdcLLER^J\xd6RG\r\n\
        OBX|1|ST|X||\\XB5\\mol/l\r\n";
    insta::assert_snapshot!(pretty(message), @r##"
    {
      "specversion": "1.0",
      "id": "42-2ccc6a232ca7efaf27e09bb7088c8a48",
      "type": "org.hl7.v2.ORU.R01",
      "source": "/mllp/adt/LAB/KLINIK",
      "time": "2026-11-22T10:15:00.000Z",
      "datacontenttype": "application/json",
      "dataschema": "urn:mllp-bridge:envelope:1",
      "hl7version": "2.3",
      "hl7controlid": "42",
      "data": {
        "raw": "MSH|^~\\&|LAB|KLINIK|BRIDGE|CLOUD|20261122||ORU^R01|42|P|2.3||||||8859/1\r\nPID|1||4711||MÜLLER^JÖRG\r\nOBX|1|ST|X||\\XB5\\mol/l\r\n",
        "charset": "ISO-8859-1",
        "delimiters": "|^~\\&",
        "segments": [
          {
            "id": "MSH",
            "fields": {
              "1": [
                {
                  "1": "|"
                }
              ],
              "2": [
                {
                  "1": "^~\\&"
                }
              ],
              "3": [
                {
                  "1": "LAB"
                }
              ],
              "4": [
                {
                  "1": "KLINIK"
                }
              ],
              "5": [
                {
                  "1": "BRIDGE"
                }
              ],
              "6": [
                {
                  "1": "CLOUD"
                }
              ],
              "7": [
                {
                  "1": "20261122"
                }
              ],
              "9": [
                {
                  "1": "ORU",
                  "2": "R01"
                }
              ],
              "10": [
                {
                  "1": "42"
                }
              ],
              "11": [
                {
                  "1": "P"
                }
              ],
              "12": [
                {
                  "1": "2.3"
                }
              ],
              "18": [
                {
                  "1": "8859/1"
                }
              ]
            }
          },
          {
            "id": "PID",
            "fields": {
              "1": [
                {
                  "1": "1"
                }
              ],
              "3": [
                {
                  "1": "4711"
                }
              ],
              "5": [
                {
                  "1": "MÜLLER",
                  "2": "JÖRG"
                }
              ]
            }
          },
          {
            "id": "OBX",
            "fields": {
              "1": [
                {
                  "1": "1"
                }
              ],
              "2": [
                {
                  "1": "ST"
                }
              ],
              "3": [
                {
                  "1": "X"
                }
              ],
              "5": [
                {
                  "1": "µmol/l"
                }
              ]
            }
          }
        ],
        "peer": {
          "address": "10.1.0.10"
        },
        "warnings": [
          "segments end in LF or CR LF instead of CR"
        ]
      }
    }
    "##);
}

#[test]
fn five_encoding_characters_of_2_7() {
    let message = b"MSH|^~\\&#|APP||BRIDGE||20261122||ADT^A08|9 |P|2.7|||AL|NE\r\
        PID|1||4711||MUSTER^ERIKA#\r\
        NTE|1||5\\P\\ and \\F\\\r";
    insta::assert_snapshot!(pretty(message), @r##"
    {
      "specversion": "1.0",
      "id": "9 -5952d83e5c17c387e95335c69f7377cb",
      "type": "org.hl7.v2.ADT.A08",
      "source": "/mllp/adt/APP/",
      "time": "2026-11-22T10:15:00.000Z",
      "datacontenttype": "application/json",
      "dataschema": "urn:mllp-bridge:envelope:1",
      "hl7version": "2.7",
      "hl7controlid": "9 ",
      "data": {
        "raw": "MSH|^~\\&#|APP||BRIDGE||20261122||ADT^A08|9 |P|2.7|||AL|NE\rPID|1||4711||MUSTER^ERIKA#\rNTE|1||5\\P\\ and \\F\\\r",
        "charset": "ASCII",
        "delimiters": "|^~\\&#",
        "segments": [
          {
            "id": "MSH",
            "fields": {
              "1": [
                {
                  "1": "|"
                }
              ],
              "2": [
                {
                  "1": "^~\\&#"
                }
              ],
              "3": [
                {
                  "1": "APP"
                }
              ],
              "5": [
                {
                  "1": "BRIDGE"
                }
              ],
              "7": [
                {
                  "1": "20261122"
                }
              ],
              "9": [
                {
                  "1": "ADT",
                  "2": "A08"
                }
              ],
              "10": [
                {
                  "1": "9 "
                }
              ],
              "11": [
                {
                  "1": "P"
                }
              ],
              "12": [
                {
                  "1": "2.7"
                }
              ],
              "15": [
                {
                  "1": "AL"
                }
              ],
              "16": [
                {
                  "1": "NE"
                }
              ]
            }
          },
          {
            "id": "PID",
            "fields": {
              "1": [
                {
                  "1": "1"
                }
              ],
              "3": [
                {
                  "1": "4711"
                }
              ],
              "5": [
                {
                  "1": "MUSTER",
                  "2": "ERIKA#"
                }
              ]
            }
          },
          {
            "id": "NTE",
            "fields": {
              "1": [
                {
                  "1": "1"
                }
              ],
              "3": [
                {
                  "1": "5# and |"
                }
              ]
            }
          }
        ],
        "peer": {
          "address": "10.1.0.10"
        },
        "warnings": []
      }
    }
    "##);
}
