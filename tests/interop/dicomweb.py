"""Walks a gateway's DICOMweb as an integrator's program would. Usage: dicomweb.py BASE TOKEN; prints "every service answered"."""

import sys

from dicomweb_client.api import DICOMwebClient
from dicomweb_client.session_utils import create_session

base, token = sys.argv[1:3]
session = create_session()
session.headers["Authorization"] = f"Bearer {token}"
client = DICOMwebClient(url=base, session=session)

studies = client.search_for_studies()
assert len(studies) == 1, studies
study = studies[0]["0020000D"]["Value"][0]
assert studies[0]["00201208"]["Value"] == [6], studies[0]["00201208"]
assert client.search_for_studies(search_filters={"PatientID": "PHANTOM*"}), "a wildcard finds the study"
assert not client.search_for_studies(search_filters={"PatientID": "NOBODY"}), "another patient's search finds nothing"

(series,) = client.search_for_series(study)
series_uid = series["0020000E"]["Value"][0]
page = client.search_for_instances(study, series_uid, limit=4, offset=4)
assert len(page) == 2, f"paging gives {len(page)}"

instance = page[0]["00080018"]["Value"][0]
metadata = client.retrieve_instance_metadata(study, series_uid, instance)
assert metadata["00280010"]["Value"] == [512], metadata["00280010"]
dataset = client.retrieve_instance(study, series_uid, instance)
assert str(dataset.PatientName) == "TEST^PHANTOM" and len(dataset.PixelData) == 512 * 512 * 2
(frame,) = client.retrieve_instance_frames(study, series_uid, instance, [1])
assert frame == dataset.PixelData, "the frame is the pixel data"
rendered = client.retrieve_instance_rendered(study, series_uid, instance)
assert rendered[:3] == b"\xff\xd8\xff" or rendered[:4] == b"\x89PNG", rendered[:8]
assert len(client.retrieve_series(study, series_uid)) == 6
assert len(client.retrieve_study_metadata(study)) == 6

print("every service answered")
