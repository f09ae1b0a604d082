"""A modality that deletes what is committed to. Usage: commitment.py PORT OWN same|new RELEASED; stores two objects at the agent on PORT, asks for
commitment of them and of one that it never sent, and hears the result on the same association, or on port OWN after its end, which it
tells by the file RELEASED. Prints as JSON the statuses of what it sent, and for each event: its type, whether it came over an association of the agent's, what is committed to
and what failed why."""

import json
import sys
import threading

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

port, own, mode, released = int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:5]
P_DATA_TF = 0x04
events, heard = [], threading.Event()


def image(number):
    it = Dataset()
    it.file_meta = FileMetaDataset()
    it.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    it.SOPClassUID, it.SOPInstanceUID = CTImageStorage, f"2.25.1000.{number}"
    it.StudyInstanceUID, it.SeriesInstanceUID = "2.25.1000", "2.25.1001"
    it.PatientID, it.PatientName, it.Modality = "P1", "Test^Only", "CT"
    return it


def listed(items):
    return [[it.ReferencedSOPInstanceUID, int(it.get("FailureReason", 0))] for it in items]


def on_event(event):
    said = event.event_information
    events.append(
        {
            "type": event.event_type,
            "theirs": event.assoc.is_acceptor,
            "transaction": said.TransactionUID,
            "committed": listed(said.get("ReferencedSOPSequence", [])),
            "failed": listed(said.get("FailedSOPSequence", [])),
        }
    )
    return 0x0000, None


def on_sent(event):
    # A release asked for before the answer has left takes the answer's place, and the agent rightly reports once more.
    if events and event.data[0] == P_DATA_TF:
        heard.set()


handlers = [(evt.EVT_N_EVENT_REPORT, on_event), (evt.EVT_DATA_SENT, on_sent)]
ae = AE(ae_title="CT1")
ae.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
ae.add_requested_context(StorageCommitmentPushModel)
# of the agent's associations: it is the provider, and we the user
ae.add_supported_context(StorageCommitmentPushModel, scu_role=False, scp_role=True)
server = ae.start_server(("127.0.0.1", own), block=False, evt_handlers=handlers)

assoc = ae.associate("127.0.0.1", port, ae_title="CAUSEWAY", evt_handlers=handlers)
statuses = [assoc.send_c_store(image(number)).Status for number in (1, 2)]
wanted = Dataset()
wanted.TransactionUID = "2.25.4711"
wanted.ReferencedSOPSequence = []
for number in (1, 2, 3):
    item = Dataset()
    item.ReferencedSOPClassUID = CTImageStorage
    item.ReferencedSOPInstanceUID = f"2.25.1000.{number}"
    wanted.ReferencedSOPSequence.append(item)
status, _ = assoc.send_n_action(
    wanted, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
)
statuses.append(status.get("Status"))
if mode == "new":
    assoc.release()
    open(released, "w").close()
heard.wait(60)
if mode == "same":
    assoc.release()
server.shutdown()
print(json.dumps({"statuses": statuses, "events": events}))
