//! Against a real etcd and kube-apiserver, found through `KUBEBUILDER_ASSETS`; one start for all steps.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "live_api/applying.rs"]
mod applying;
#[path = "live_api/cached.rs"]
mod cached;
#[path = "live_api/creating.rs"]
mod creating;
#[path = "live_api/cron_jobs.rs"]
mod cron_jobs;
#[path = "live_api/emitted.rs"]
mod emitted;
#[path = "live_api/kubectl.rs"]
mod kubectl;
#[path = "live_api/manifests.rs"]
mod manifests;
#[path = "support/odd.rs"]
mod odd;
#[path = "live_api/owners.rs"]
mod owners;
#[path = "live_api/resizing.rs"]
mod resizing;
#[path = "live_api/resting.rs"]
mod resting;
#[path = "live_api/scaling.rs"]
mod scaling;
mod support;
#[path = "live_api/ticks.rs"]
mod ticks;
#[path = "live_api/validation.rs"]
mod validation;
#[path = "support/vertical.rs"]
mod vertical;
#[path = "live_api/vertical_loop.rs"]
mod vertical_loop;
#[path = "live_api/world.rs"]
mod world;

use support::ControlPlane;
use world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn against_a_real_api_server() {
    let Some(assets) = support::assets() else { return };
    let plane = ControlPlane::start(&assets).await;
    let world = World::new(&plane);
    manifests::what_is_written_is_accepted_and_read_as_meant(&world).await;
    manifests::odd_manifests_mean_what_they_mean_to_the_server(&world).await;
    manifests::recommended_specs_are_accepted(&world).await;
    validation::validate_refuses_what_the_server_refuses(&world).await;
    cached::an_applier_over_a_cache_keeps_its_promises(&world).await;
    cached::namespaces_labels_and_modes_are_selected(&world).await;
    cached::faults_of_settings_are_one_event(&world).await;
    cached::a_target_no_more_is_abandoned_and_released(&world).await;
    cached::another_hpa_of_the_workload_is_found(&world).await;
    applying::an_applier_keeps_its_promises(&world).await;
    applying::a_dry_run_leaves_the_object_as_it_is(&world).await;
    applying::applying_changes_the_bounds_alone_and_owns_them_alone(&world).await;
    applying::applying_twice_writes_once(&world).await;
    applying::a_field_of_somebody_else_is_a_conflict(&world).await;
    applying::an_edit_in_between_is_noticed(&world).await;
    applying::a_busy_status_is_no_obstacle(&world).await;
    applying::a_manager_that_applied_the_rest_is_refused(&world).await;
    applying::without_min_replicas_the_min_is_1(&world).await;
    applying::what_is_missing_is_not_created(&world).await;
    applying::without_rights_it_is_refused(&world).await;
    resting::the_first_change_keeps_the_resting_bounds(&world).await;
    resting::pods_above_the_owners_max_hold_a_release(&world).await;
    resting::a_copied_annotation_tells_nothing(&world).await;
    resting::a_lost_annotation_is_kept_anew(&world).await;
    resting::a_floor_is_given_back_by_the_next_process(&world).await;
    resting::a_release_leaves_no_trace(&world).await;
    resting::the_owners_change_becomes_the_resting_bounds(&world).await;
    creating::an_hpa_is_created_once_and_then_moved_without_force(&world).await;
    creating::what_is_there_or_scaled_by_another_is_not_created(&world).await;
    owners::everybody_is_found_and_nothing_is_written(&world).await;
    owners::with_few_rights_the_rest_is_said_to_be_unseen(&world).await;
    if assets.join("kubectl").exists() {
        kubectl::what_is_printed_does_what_the_applier_does(&world, &plane, &assets).await;
    } else {
        assert!(std::env::var_os("CI").is_none(), "the folder in KUBEBUILDER_ASSETS has no kubectl");
        eprintln!("skipped: what kubectl does; the folder in KUBEBUILDER_ASSETS has none");
    }
    emitted::cron_jobs_are_accepted(&world).await;
    emitted::one_event_counts(&world).await;
    cron_jobs::a_schedule_is_applied_changed_and_removed(&world).await;
    cron_jobs::an_event_that_is_over_is_pruned(&world).await;
    cron_jobs::an_object_of_somebody_else_is_left_alone(&world).await;
    cron_jobs::the_rights_that_are_named_are_enough(&world).await;
    resizing::pods_are_resized_where_they_are(&world).await;
    resizing::a_template_is_rolled_out_and_its_owner_asked(&world).await;
    resizing::the_effect_on_the_hpa_is_told_before(&world).await;
    resizing::the_rules_are_the_servers(&world).await;
    resizing::a_quota_is_looked_at_before(&world).await;
    vertical_loop::a_stateful_set_is_resized_in_place_and_by_a_rollout(&world).await;
    vertical_loop::beside_a_vertical_pod_autoscaler_nothing_is_written(&world).await;
    vertical_loop::one_applier_keeps_its_promises_and_writes_both(&world).await;
    scaling::every_kind_keeps_the_promises(&world).await;
    scaling::the_replicas_alone_change_and_a_dry_run_leaves_no_trace(&world).await;
    scaling::what_is_released_leaves_no_manager_of_ours_and_keeps_its_replicas(&world).await;
    scaling::replicas_of_somebody_else_are_a_conflict(&world).await;
    scaling::what_an_hpa_or_keda_scales_is_left_alone(&world).await;
    scaling::what_another_object_owns_is_left_to_it(&world).await;
    scaling::what_is_paused_by_hand_is_left_alone(&world).await;
    scaling::one_of_two_writers_at_once_is_told_so(&world).await;
    scaling::a_kind_of_two_groups_is_not_guessed(&world).await;
    ticks::every_mode_of_the_autoscaler(&world).await;
    ticks::every_mode_of_a_workload_that_is_driven_directly(&world).await;
}
