//! Why an element stays though a peer removes it.

/// A reason, and the elements that stay for it: group and element, or group, creator and place in the creator's block.
pub(crate) const KEPT: &[(&str, &[&str])] = &[
    (
        "UIDs stay (113110): a report refers to what it reads",
        &[
            "00080014", "00080018", "0008010C", "00081155", "00083010", "00083012", "0020000D",
            "0020000E", "00200052", "00209164", "0040A124", "0040E011", "30060024",
        ],
    ),
    (
        "no UID of an object: the class of one",
        &["00080016", "00081150"],
    ),
    (
        "dates and times stay as they are (113106)",
        &[
            "00080012", "00080013", "00080020", "00080021", "00080022", "00080023", "0008002A",
            "00080030", "00080031", "00080032", "00080033", "00180035", "00181012", "00181072",
            "00181078", "00181079", "00181200", "00181201", "0018700C", "00189074", "00189151",
            "0018A002", "00400244", "00400245", "00400250", "00402004", "0040A030", "0040A032",
            "0040A120", "0040A121", "0040A122",
        ],
    ),
    (
        "no date of the patient: the version of a table of codes",
        &["00080106"],
    ),
    (
        "a duration of the measurement",
        &[
            "00180080", "00180081", "00181060", "00181063", "00181150", "00189082", "00189305",
            "00540073", "00541300",
        ],
    ),
    (
        "a code or number of the equipment, of nobody",
        &[
            "00181166", "00209056", "0032000A", "0032000C", "00540400", "20100030",
        ],
    ),
    (
        "text for readers, without this patient's identifiers (113105)",
        &["001021B0", "00104000", "00321030"],
    ),
    (
        "safe private, read by measuring programs (113111)",
        &[
            "0019,GEMS_ACQU_01,23",
            "0019,GEMS_ACQU_01,24",
            "0019,GEMS_ACQU_01,27",
            "0019,GEMS_ACQU_01,9E",
            "0025,GEMS_SERS_01,07",
            "0043,GEMS_PARM_01,39",
            "0043,GEMS_PARM_01,6F",
            "0045,GEMS_SENO_02,06",
            "0045,GEMS_SENO_02,1B",
            "0045,GEMS_SENO_02,20",
            "0045,GEMS_SENO_02,27",
            "0045,GEMS_SENO_02,29",
            "0045,GEMS_SENO_02,2A",
            "0045,GEMS_SENO_02,2B",
            "0045,GEMS_SENO_02,49",
            "0045,GEMS_SENO_02,58",
            "0045,GEMS_SENO_02,59",
            "0045,GEMS_SENO_02,60",
            "0045,GEMS_SENO_02,61",
            "0045,GEMS_SENO_02,64",
            "0045,GEMS_SENO_02,71",
            "0045,GEMS_SENO_02,72",
            "0045,GEMS_SENO_02,90",
            "0045,GEMS_HELIOS_01,01",
            "0045,GEMS_HELIOS_01,02",
            "01F1,ELSCINT1,01",
            "01F1,ELSCINT1,26",
            "01F1,ELSCINT1,27",
            "0029,SIEMENS CSA HEADER,08",
            "0029,SIEMENS CSA HEADER,09",
            "0029,SIEMENS CSA HEADER,10",
            "0029,SIEMENS CSA HEADER,18",
            "0029,SIEMENS CSA HEADER,19",
            "0029,SIEMENS CSA HEADER,20",
            "0071,SIEMENS MED PT,22",
        ],
    ),
];
