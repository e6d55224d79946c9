"""Who acts, what the log says of it, and the test that does it. See `test_trail_table`.

A value names the types that the action writes, and the test in which it is really done (an HTTP
request, a command, a login at Keycloak), never by appending such an event by hand: after that
test the types have to stand in a log on the disk (`tests/trail.py`). What writes
nothing says why. Routes, commands, units, roles and phases are enumerated by the test from the
code: one that is not here fails, and so does a line here that is nothing's any more.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Written:
    """Types, without `casemate.` and `.v1`, and where the action is done: `file::test`."""

    types: tuple[str, ...]
    test: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """Why the log says nothing of it."""

    why: str


def by(test: str, *types: str) -> Written:
    """Return a line of the table."""
    return Written(types, f"tests/{test}")


Says = Written | Nothing

PAGE = Nothing("shows what the person may know by their role: no content, no record of others")
FORM = Nothing("an empty form, or a confirmation that is asked for; the POST after it is here")
OWN = Nothing("one's own questions and answers, which nobody else may open")
CHANGES_RUN = by(
    "install/test_playbook.py::test_a_run_that_changed_something_is_in_the_log_once",
    "config.change",
)
MADE_ELSEWHERE = Nothing("runs where a bundle is made: no site and no log there")
RUN_BY_PLAYBOOK = Nothing("run by a task of the playbooks, whose run is a config.change")
READS = Nothing("reads and verifies; changes nothing and shows no content")
SERVES = Nothing("starts a process; what it does is in the lines of its routes and units")

CONSOLE: dict[str, Says] = {
    "GET /": PAGE,
    "GET /connexion": Nothing("sends the browser to Keycloak, whose own events are followed"),
    "GET /connexion/retour": by(
        "stack/test_browser.py"
        "::test_an_auditor_signs_in_with_a_one_time_code_and_reads_the_log",
        "auth.login",
    ),
    "POST /deconnexion": by(
        "identity/test_follow.py"
        "::test_a_person_who_signs_out_and_a_session_that_is_ended_are_told",
        "auth.logout",
    ),
    "POST /deconnexion/annonce": Nothing("Keycloak says what it has recorded itself"),
    "GET /langue/{code}": PAGE,
    "POST /session/prolonger": Nothing("renews a token; the session began with auth.login"),
    "GET /etat": PAGE,
    "GET /question": OWN,
    "GET /question/{conversation}": OWN,
    "GET /question/demande/{request}": OWN,
    "GET /historique": OWN,
    "POST /question": by(
        "gateway/test_hot.py"
        "::test_an_intent_comes_before_the_engine_and_an_end_before_the_answer",
        "llm.request",
        "llm.completion",
    ),
    "GET /source/{document}/{passage}": by(
        "console/pages/test_documents.py"
        "::test_a_source_is_read_page_by_page_and_the_reading_is_on_record",
        "rag.open",
    ),
    "GET /documents": PAGE,
    "GET /documents/{slug}": PAGE,
    "GET /documents/{slug}/etats": PAGE,
    "POST /documents/{slug}": by(
        "console/pages/test_documents.py::test_a_deposit_is_on_record", "rag.ingest"
    ),
    "GET /documents/{slug}/{document}": by(
        "console/pages/test_documents.py"
        "::test_a_source_is_read_page_by_page_and_the_reading_is_on_record",
        "rag.open",
    ),
    "GET /documents/{slug}/{document}/original": by(
        "console/pages/test_documents.py"
        "::test_the_original_is_given_as_it_was_deposited_and_never_shown_in_place",
        "rag.open",
    ),
    "GET /documents/{slug}/{document}/supprimer": FORM,
    "POST /documents/{slug}/{document}/supprimer": by(
        "console/pages/test_documents.py::test_deleting_is_confirmed_recorded_and_final",
        "rag.delete",
    ),
    "POST /documents/{slug}/{document}/relancer": by(
        "rag/test_worker.py::test_documents_become_ready_and_their_jobs_leave",
        "rag.ingest",
    ),
    "GET /cles": PAGE,
    "POST /cles": by(
        "console/pages/test_keys.py::test_a_key_is_shown_once_and_its_issue_is_on_record",
        "key.issue",
    ),
    "POST /cles/{key}/revoquer": by(
        "console/pages/test_keys.py::test_a_key_is_revoked_for_good", "key.revoke"
    ),
    "GET /api/keys": PAGE,
    "POST /api/keys": by(
        "console/pages/test_keys.py::test_a_program_issues_and_revokes_and_both_are_on_record",
        "key.issue",
    ),
    "POST /api/keys/{key_id}/revoke": by(
        "console/pages/test_keys.py::test_a_program_issues_and_revokes_and_both_are_on_record",
        "key.revoke",
    ),
    "GET /modeles": PAGE,
    "GET /modeles/sante": PAGE,
    "POST /modeles/arret": by(
        "gateway/test_routes.py::test_a_stop_ends_what_runs_within_two_seconds_on_every_worker",
        "service.stop",
        "llm.interrupted",
    ),
    "POST /modeles/reprise": by(
        "gateway/test_routes.py::test_starting_again_takes_two_people", "service.approve"
    ),
    "GET /journal": by(
        "console/pages/test_journal.py::test_the_auditor_sees_all_and_the_reading_is_on_record",
        "audit.search",
    ),
    "GET /journal/tirage": by(
        "console/pages/test_sample.py::test_a_draw_is_made_again_from_its_address",
        "audit.search",
    ),
    "GET /journal/{index}": by(
        "console/pages/test_record.py"
        "::test_an_auditor_sees_the_whole_request_and_the_opening_is_on_record",
        "audit.read",
    ),
    "GET /journal/{index}/recu": by(
        "console/pages/test_journal.py"
        "::test_the_receipt_opens_the_text_for_its_owner_and_for_nobody_else",
        "audit.export",
    ),
    "GET /ancrages": by(
        "console/pages/test_anchors.py"
        "::test_anchors_are_shown_by_kind_and_lead_to_their_record",
        "audit.search",
    ),
    "GET /contenus": PAGE,
    "GET /contenus/{record}": PAGE,
    "POST /contenus/{record}/accord": by(
        "gateway/test_consent.py"
        "::test_two_people_open_one_record_once_and_the_log_says_so_first",
        "content.approve",
    ),
    "POST /contenus/{record}/lecture": by(
        "gateway/test_consent.py"
        "::test_two_people_open_one_record_once_and_the_log_says_so_first",
        "content.read",
    ),
    "GET /journal/export": FORM,
    "POST /journal/export": by(
        "console/pages/test_exports.py"
        "::test_an_auditor_asks_waits_and_takes_and_all_of_it_is_on_record",
        "audit.export",
    ),
    "GET /exports/{export}": PAGE,
    "GET /exports/{export}/dossier": by(
        "console/pages/test_exports.py"
        "::test_an_auditor_asks_waits_and_takes_and_all_of_it_is_on_record",
        "audit.export",
    ),
    "GET /eliminations": PAGE,
    "GET /eliminations/{number}/bordereau": Nothing(
        "the list that a visa is for: numbers and dates, no content and no name"
    ),
    "POST /eliminations/{number}/visa": by(
        "console/pages/test_eliminations.py::test_the_visa_is_recorded_for_the_text_that_was_given",
        "gate.decide",
    ),
    "GET /recu": FORM,
    "GET /recu/verifier.py": READS,
    "POST /recu": READS,
    "GET /visite": PAGE,
    "POST /visite/copie": Nothing("changes a byte of a copy in memory, and verifies it"),
    "MOUNT /static": Nothing("files of the release"),
}

GATEWAY: dict[str, Says] = {
    "POST /v1/chat/completions": by(
        "gateway/test_hot.py"
        "::test_an_intent_comes_before_the_engine_and_an_end_before_the_answer",
        "llm.request",
        "llm.completion",
    ),
    "POST /v1/embeddings": by(
        "gateway/test_embedding.py::test_vectors_leave_as_the_engine_made_them_and_are_recorded",
        "llm.request",
        "llm.completion",
    ),
    "GET /v1/models": PAGE,
    "GET /health": PAGE,
    "POST /v1/service/stop": by(
        "gateway/test_routes.py::test_a_stop_ends_what_runs_within_two_seconds_on_every_worker",
        "service.stop",
        "llm.interrupted",
    ),
    "POST /v1/service/approve": by(
        "gateway/test_routes.py::test_starting_again_takes_two_people", "service.approve"
    ),
    "POST /v1/content/approve": by(
        "gateway/test_consent.py"
        "::test_two_people_open_one_record_once_and_the_log_says_so_first",
        "content.approve",
    ),
    "POST /v1/content/visa": by(
        "console/pages/test_eliminations.py::test_the_visa_is_recorded_for_the_text_that_was_given",
        "gate.decide",
    ),
}

COMMANDS: dict[str, Says] = {
    "access enrol": by(
        "site/rack/test_commands.py::test_an_enrolment_and_a_seal_are_in_the_log",
        "admin.user",
    ),
    "access seal": by(
        "site/rack/test_commands.py::test_an_enrolment_and_a_seal_are_in_the_log",
        "admin.user",
    ),
    "access status": READS,
    "access forget": RUN_BY_PLAYBOOK,
    "access record": by(
        "site/rack/test_uses.py::test_what_waited_is_in_the_log_once_the_recorder_is_back",
        "admin.access",
    ),
    "access boot": by(
        "site/rack/test_commands.py::test_what_the_units_and_the_playbooks_tell_is_in_the_log",
        "service.boot",
    ),
    "access changed": CHANGES_RUN,
    "access flush": by(
        "site/rack/test_uses.py::test_telling_twice_writes_one_record", "admin.access"
    ),
    "audit init": Nothing("makes the log; its key is in the installation report"),
    "audit recorder": by(
        "audit/test_recorder.py::test_told_to_end_the_recorder_publishes_all_and_says_so",
        "audit.start",
        "audit.stop",
    ),
    "audit new-epoch propose": Nothing("writes a statement; the log begins with the approval"),
    "audit new-epoch approve": by(
        "audit/test_succession.py::test_two_people_begin_a_new_log_and_the_old_one_is_kept",
        "audit.epoch",
    ),
    "audit rotate-key": by(
        "audit/test_rotation.py::test_the_record_names_both_and_the_keyring_says_which_sizes",
        "key.rotate",
    ),
    "audit prune": by(
        "audit/test_pruning.py::test_the_record_of_a_pruning_says_who_why_and_how_far",
        "audit.prune",
    ),
    "audit heartbeat": by(
        "audit/test_heartbeat_commands.py"
        "::test_what_an_engine_counted_is_in_the_log_with_the_size_before",
        "audit.heartbeat",
    ),
    "audit forward": by(
        "audit/forward/test_forwarder.py::test_a_loss_is_in_the_log_that_the_recorder_keeps",
        "audit.loss",
    ),
    "audit feed": by(
        "audit/anchoring/test_feeder.py"
        "::test_a_log_that_grew_is_anchored_and_one_that_did_not_is_left_alone",
        "audit.anchor",
    ),
    "audit anchor add": by(
        "audit/anchoring/test_commands.py"
        "::test_a_request_goes_out_and_its_cosignature_becomes_an_anchor",
        "audit.anchor",
    ),
    "audit anchor paper": by(
        "audit/anchoring/test_paper_commands.py"
        "::test_a_sheet_is_printed_signed_recorded_scanned_and_holds_the_log_to_it",
        "audit.anchor",
    ),
    "audit copy": by(
        "audit/anchoring/test_copy_commands.py"
        "::test_a_copy_of_a_running_log_is_an_anchor_of_it",
        "audit.anchor",
    ),
    "audit sheet": Nothing(
        "prints a head; it is an anchor once it is signed: audit anchor paper"
    ),
    "audit sample": Nothing("exports to learn on, of a log that was never a site’s"),
    "audit request": Nothing("writes what a witness is asked; its answer is an anchor"),
    "audit export": by(
        "audit/test_export_commands.py::test_what_is_taken_away_is_in_the_log",
        "audit.export",
    ),
    "audit receipt save": Nothing("a receipt without the keys that open texts, by the rack"),
    "audit receipt check": READS,
    "audit receipt page": READS,
    "audit retention": READS,
    "audit verify": READS,
    "audit verifier": READS,
    "audit policy": READS,
    "audit diff": READS,
    "audit events": READS,
    "audit falsify": Nothing("changes a copy, never the log"),
    "audit index serve": SERVES,
    "audit index rebuild": Nothing("makes the copy again from the log; no evidence"),
    "audit index reconcile": READS,
    "audit reader serve": by(
        "gateway/test_consent.py"
        "::test_the_month_s_key_is_made_recorded_and_published_before_it_is_used",
        "key.issue",
    ),
    "bundle plan": MADE_ELSEWHERE,
    "bundle build": MADE_ELSEWHERE,
    "bundle lock": MADE_ELSEWHERE,
    "bundle lock-folder": MADE_ELSEWHERE,
    "bundle delta": MADE_ELSEWHERE,
    "bundle spread": MADE_ELSEWHERE,
    "bundle root": MADE_ELSEWHERE,
    "bundle verify": READS,
    "bundle status": READS,
    "bundle import": by(
        "install/test_logged.py::test_the_log_of_a_site_has_each_phase",
        "install.phase",
    ),
    "bundle prune": Nothing("removes releases that run no more; the one that runs is reported"),
    "model lock": MADE_ELSEWHERE,
    "checklist": READS,
    "console serve": SERVES,
    "db migrate": RUN_BY_PLAYBOOK,
    "demo code": Nothing("a code of the demo’s own people, of no site"),
    "demo fetch": MADE_ELSEWHERE,
    "demo run": SERVES,
    "documents import": by(
        "rag/test_worker.py::test_documents_become_ready_and_their_jobs_leave",
        "rag.ingest",
    ),
    "egress-proof": CHANGES_RUN,
    "engine serve": by(
        "gateway/test_loads.py::test_each_start_is_in_the_log_once_for_all_workers",
        "model.load",
    ),
    "gateway serve": by(
        "gateway/test_engines.py"
        "::test_an_engine_that_dies_is_a_503_at_once_and_is_back_by_itself",
        "service.degraded",
        "service.restored",
    ),
    "identity provision": by(
        "identity/test_follow.py"
        "::test_changes_by_administrators_are_told_and_no_secret_with_them",
        "config.change",
        "admin.role",
        "admin.user",
    ),
    "identity events": by(
        "identity/test_follow.py::test_logins_refusals_and_ends_are_told",
        "auth.login",
        "auth.denied",
        "admin.user",
    ),
    "install": by(
        "install/test_logged.py::test_the_log_of_a_site_has_each_phase",
        "install.phase",
    ),
    "parse": Nothing("one document from standard input to standard output"),
    "preflight": CHANGES_RUN,
    "rehearse": Nothing("in a container that is thrown away, with a log of its own"),
    "report verify": READS,
    "service stop": by(
        "gateway/test_switch.py::test_a_stop_at_the_rack_reaches_the_workers_and_two_people_start_again",
        "service.stop",
    ),
    "service start": by(
        "gateway/test_switch.py::test_a_stop_at_the_rack_reaches_the_workers_and_two_people_start_again",
        "service.approve",
    ),
    "settings check": READS,
    "site apply": by(
        "site/test_apply.py::test_only_what_changed_is_recorded_and_before_it_holds",
        "budget.change",
        "policy.change",
        "rag.collection",
    ),
    "site secrets": RUN_BY_PLAYBOOK,
    "site database": RUN_BY_PLAYBOOK,
    "site keycloak": RUN_BY_PLAYBOOK,
    "site front": RUN_BY_PLAYBOOK,
    "smoke": SERVES,
    "witness init": Nothing("on the machine of the witness, whose log is not ours"),
    "witness serve": Nothing("on the machine of the witness; what it signs becomes an anchor"),
    "witness sign": Nothing("on the machine of the witness; what it signs becomes an anchor"),
    "worker run": by(
        "rag/test_retention.py::test_rows_older_than_the_retention_go_and_younger_ones_stay",
        "content.erase",
    ),
}

# Types that none of the lines above names, by what writes them.
OTHERS: dict[str, Says] = {
    "gateway: an engine that does not answer": by(
        "gateway/test_hot.py"
        "::test_an_answer_cut_by_its_engine_ends_in_an_error_and_its_tokens_count",
        "llm.error",
    ),
    "gateway: a client that leaves": by(
        "gateway/test_departures.py::test_a_client_that_leaves_ends_the_engines_work",
        "llm.interrupted",
    ),
    "gateway: an answer that a guard refuses": by(
        "gateway/test_hot.py::test_a_refused_answer_ends_in_an_error_and_a_record",
        "llm.refused",
    ),
    "gateway: a retrieval": by(
        "gateway/test_documents.py"
        "::test_a_retrieval_is_recorded_between_intent_and_end_without_any_text",
        "rag.retrieve",
    ),
    "gateway: somebody known is refused": by(
        "gateway/test_hot.py::test_what_is_refused_reaches_no_engine_and_is_recorded[scope]",
        "authz.denied",
    ),
    "recorder: keys of erased contents": by(
        "audit/test_erasure.py::test_the_log_says_so_before_and_who_asked_hears_it_after",
        "content.erased",
    ),
    "recorder: a disk that fills": by(
        "audit/test_desk_watch.py::test_a_filling_disk_is_noted_once_and_refuses_by_rank",
        "audit.degraded",
    ),
    "recorder: a clock that steps": by(
        "audit/test_writer.py::test_a_step_of_the_clock_is_a_leaf_before_the_next_event",
        "clock.step",
    ),
    "agents: tools": Nothing("no agent acts yet: they come with the missions"),
}

# A unit of the playbooks and the command or program that it runs.
UNITS: dict[str, str] = {
    "casemate-console.service": "console serve",
    "casemate-engine.service": "engine serve",
    "casemate-events.service": "identity events",
    "casemate-feeder.service": "audit feed",
    "casemate-forwarder.service": "audit forward",
    "casemate-gateway@.service": "gateway serve",
    "casemate-heartbeat.service": "audit heartbeat",
    "casemate-indexer.service": "audit index serve",
    "casemate-reader.service": "audit reader serve",
    "casemate-recorder.service": "audit recorder",
    "casemate-worker.service": "worker run",
    "casemate-access.service": "access flush",
    "casemate-boot.service": "access boot",
    "casemate-witness.service": "witness serve",
}
SILENT_UNITS: dict[str, str] = {
    "casemate-access.timer": "starts casemate-access.service",
    "casemate-canary-route.service": "makes a route, once, for the proof of egress",
    "casemate-certificates.service": "renews a certificate of the site’s own authority",
    "casemate-certificates.timer": "starts casemate-certificates.service",
    "casemate-gpu.service": "makes device nodes of graphics cards, once",
    "casemate-keycloak.service": "its own table of events is followed",
    "casemate-logs.service": "copies the system’s log to the site’s collector",
    "casemate-measures.service": "writes counts for Prometheus",
    "casemate-measures.timer": "starts casemate-measures.service",
    "casemate-parser.socket": "starts casemate-parser@.service",
    "casemate-parser@.service": "one document, for the worker, which records it",
    "casemate-vllm@.service": "an engine: each of its starts is a model.load of the gateways",
}
