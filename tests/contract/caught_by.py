"""Each defect, and the check of the contract that has to notice it."""

from __future__ import annotations

__all__ = ["CAUGHT_BY"]

CAUGHT_BY = {
    "AcceptsAnything": "test_a_reply_without_an_id_is_no_acceptance",
    "AsksOneByOne": "test_members_are_queried_in_batches",
    "DoesIoInTheFlow": "test_flows_do_no_io_of_their_own",
    "DropsRunning": "test_every_state_is_reachable_and_keeps_what_the_vendor_said",
    "FindsTheWrongJob": "test_find_returns_the_reply_that_the_create_gave",
    "FoldsToSuccess": "test_a_failed_required_member_fails_the_attempt",
    "ForgetsWhy": "test_a_failed_job_says_why",
    "HidesACreateAsARead": "test_a_plan_reaches_its_end_without_starting_anything",
    "InventsUnknownJobs": "test_query_of_an_unknown_id_is_not_found",
    "LosesRaw": "test_every_state_is_reachable_and_keeps_what_the_vendor_said",
    "NeverTooLate": "test_cancel_of_a_finished_job_is_too_late",
    "ParseRaises": "test_no_message_makes_parse_raise",
    "PlansRealIds": "test_stand_ins_show_placeholders",
    "ProgressRunsBack": "test_states_and_progress_never_run_back",
    "RemembersInMemory": "test_a_new_provider_object_can_query",
    "RetriesNothing": "test_classify_tells_what_may_be_tried_again",
    "RunsAnyKind": "test_an_unknown_kind_is_refused_without_a_call",
    "SaysCancelled": "test_cancel_of_a_living_job_ends_it",
    "SendsNoToken": "test_every_create_carries_its_own_token",
    "SendsTheClock": "test_params_hold_no_clock_value_and_no_signed_url",
    "SendsTheKey": "test_no_secret_is_in_any_text",
    "SignsInTheFlow": "test_params_hold_no_clock_value_and_no_signed_url",
    "StartsTwice": "test_the_same_token_twice_starts_one_job",
    "SwapsIds": "test_one_query_answers_for_every_member",
    "TakesStrangersMessages": "test_a_strangers_message_is_not_taken_for_its_own",
    "TellsTheKey": "test_no_secret_is_in_any_text",
    "WrongResultType": "test_every_kind_succeeds_with_a_result_of_its_type",
}
