"""The network, part by part, against values of the authors' programs (test/golden/trackers)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from support import tapir_golden as golden
from support.golden_files import golden_arrays, golden_clip

torch = pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")

from sam_pt_ros.trackers.tapir import network as network_module  # noqa: E402
from sam_pt_ros.trackers.tapir.mixer import Memory  # noqa: E402
from sam_pt_ros.trackers.tapir.network import TapirNetwork, refinement_resolutions  # noqa: E402

# The tolerances that the golden files suggest.
TRACKS, LOGITS, GRIDS, INNER, STATES = 5e-4, 3e-4, 5e-6, 1e-4, 3e-4
SMALL = (24, 96, 96, 7)


def close(found: Any, wanted: np.ndarray, tolerance: float) -> None:
    values = np.asarray(found)
    assert values.shape == wanted.shape
    assert np.abs(values - wanted).max() <= tolerance


def check(run: golden.GoldenRun, estimate: Any, wanted: dict[str, np.ndarray], key: str) -> None:
    """Compare tracks, logits and flags with the arrays that begin with ``key``."""
    close(run.pixels(estimate.xy), wanted[f"{key}tracks"], TRACKS)
    close(estimate.logits[..., 0], wanted[f"{key}occ"], LOGITS)
    close(estimate.logits[..., 1], wanted[f"{key}expd"], LOGITS)
    assert (golden.visible(estimate.logits) == wanted[f"{key}visible"]).all()


@pytest.fixture(scope="module")
def boots() -> Any:
    return golden.network()


@pytest.fixture(scope="module", params=["plain", "fast"])
def either(request: pytest.FixtureRequest) -> Any:
    """The network as it is on a GPU, and with the fast convolutions of a CPU."""
    made = golden.network()
    if request.param == "fast":
        made.prepare()
    return made


@pytest.fixture(scope="module")
def small(boots: Any) -> golden.GoldenRun:
    queries = golden_arrays("trackers/tapir_small")["queries_tyx"]
    with torch.inference_mode():
        return golden.GoldenRun.of(boots, golden_clip(*SMALL), queries)


@pytest.fixture(autouse=True)
def _inference() -> Any:
    with torch.inference_mode():
        yield


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any, Any]]:
    """Change, positions and logits after each refinement."""
    kept: list[tuple[Any, Any, Any]] = []
    changed = network_module._changed

    def noting(change: Any, *rest: Any) -> Any:
        found = changed(change, *rest)
        kept.append((change, found[0], found[1]))
        return found

    monkeypatch.setattr(network_module, "_changed", noting)
    return kept


@pytest.mark.parametrize(("kind", "numbers"), [("bootstapir", 54_699_335), ("tapir", 31_072_327)])
def test_the_state_dict_is_the_published_one(kind: str, numbers: int) -> None:
    made = TapirNetwork(3, True) if kind == "bootstapir" else TapirNetwork(2, False)
    found = {name: tuple(value.shape) for name, value in made.state_dict().items()}
    assert found == {name: tuple(value.shape) for name, value in golden.state(kind).items()}
    assert sum(int(np.prod(shape)) for shape in found.values()) == numbers


def test_features_of_a_frame(either: Any) -> None:
    wanted, kept = golden_arrays("trackers/tapir_small"), {}
    parts = {"in_initial_conv": either.resnet_torch.initial_conv}
    parts |= {f"in_resnet_unit_{i}": g for i, g in enumerate(either.resnet_torch.block_groups)}
    parts |= {f"extra {i}": block for i, block in enumerate(either.extra_convs.blocks)}
    hooks = [
        part.register_forward_hook(
            lambda _, __, out, name=name: kept.__setitem__(name, out.clone())
        )
        for name, part in parts.items()
    ]
    try:
        run = golden.GoldenRun.of(either, golden_clip(*SMALL)[:1], wanted["queries_tyx"][:1])
    finally:
        for hook in hooks:
            hook.remove()
    for name in ("in_initial_conv", *(f"in_resnet_unit_{i}" for i in range(4))):
        close(kept[name][0, ::16], wanted[name], INNER)
    extra = [kept[f"extra {i}"][..., ::16] for i in range(5)]
    close(torch.stack(extra), wanted["in_extra_convs"], INNER)
    fine, coarse, coarser = run.grids[0][0].levels
    close(coarse, wanted["in_lowres0"], GRIDS)
    close(fine[..., ::8], wanted["in_hires0"], GRIDS)
    assert coarser.shape == (6, 6, 256)


def test_features_of_queries(small: golden.GoldenRun) -> None:
    wanted = golden_arrays("trackers/tapir_small")
    close(small.all_features.coarse[0], wanted["in_query_lowres"], GRIDS)
    close(small.all_features.fine[0], wanted["in_query_hires"], GRIDS)


def test_features_near_the_border_and_between_frames(small: golden.GoldenRun) -> None:
    wanted = golden_arrays("trackers/tapir_small")
    queries = wanted["edge_queries_tyx"]
    edge = golden.GoldenRun(
        small.network,
        small.grids,
        small.resolutions,
        queries,
        torch.from_numpy(queries[:, [2, 1]]),
        small.scale,
    )
    for row, time in enumerate(queries[:, 0].tolist()):
        # The golden features were taken from the first 4 frames.
        before, after = int(time), min(int(time) + 1, 3)
        part = time - before
        for level, key in (("coarse", "edge_query_lowres"), ("fine", "edge_query_hires")):
            first, second = (getattr(edge.features(row, i), level)[0] for i in (before, after))
            close(((1 - part) * first + part * second)[0], wanted[key][row], GRIDS)


def test_the_first_estimate(small: golden.GoldenRun) -> None:
    wanted = golden_arrays("trackers/tapir_small")
    head, point = small.network.torch_cost_volume_track_mods, 4
    kept: dict[str, list[Any]] = {"hid1": [], "hid2": [], "hid3": [], "cost": []}
    hooks = [
        getattr(head, name).register_forward_hook(
            lambda _, __, out, name=name: kept[name].append(out[point].clone())
        )
        for name in ("hid1", "hid2", "hid3")
    ]
    hooks.append(
        head.hid1.register_forward_pre_hook(
            lambda _, inputs: kept["cost"].append(inputs[0][point].clone())
        )
    )
    try:
        starts = small.starts()
    finally:
        for hook in hooks:
            hook.remove()
    close(torch.stack(kept["cost"])[:, 0], wanted["in_cost"], INNER)
    close(torch.stack(kept["hid2"])[:, 0], wanted["in_heat"], INNER)
    close(kept["hid1"][5], wanted["in_hid1"], INNER)
    close(kept["hid3"][5], wanted["in_hid3"], INNER)
    pooled = torch.stack(kept["hid3"]).relu().mean((2, 3))
    close(pooled, wanted["in_pooled"], INNER)
    for frame in range(24):
        rows = wanted["queries_tyx"][:, 0] != frame  # the golden estimate is pinned there
        close(starts[frame].xy[rows], wanted["it_tracks"][0, rows, frame], TRACKS)
        close(starts[frame].logits[:, 0], wanted["it_occ"][0, :, frame], LOGITS)
        close(starts[frame].logits[:, 1], wanted["it_expd"][0, :, frame], LOGITS)


def test_tracks_through_a_clip(
    small: golden.GoldenRun, rounds: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, tokens = golden_arrays("trackers/tapir_small"), []
    mixer = small.network.torch_pips_mixer

    def mix(x: Any) -> Any:
        tokens.append(x[4].clone())
        return mixer(x)

    check(small, small.track(mix=mix), wanted, "")
    close(torch.stack(tokens), wanted["in_mixer_in"], INNER)
    close(torch.stack([change[4] for change, _, _ in rounds]), wanted["in_mixer_out"], INNER)
    for number, (_, xy, logits) in enumerate(rounds, 1):
        close(xy, wanted["it_tracks"][number], TRACKS)
        close(logits[..., 0], wanted["it_occ"][number], LOGITS)
        close(logits[..., 1], wanted["it_expd"][number], LOGITS)


def test_another_temperature() -> None:
    """The page of the golden files says that nothing is pinned here; their numbers say it is."""
    wanted = golden_arrays("trackers/tapir_small")
    warm = golden.network(temperature=10.0)
    run = golden.GoldenRun.of(warm, golden_clip(*SMALL), wanted["queries_tyx"])
    starts = torch.stack([each.xy for each in run.starts()], 1).numpy()
    starts[np.arange(12), run.queries[:, 0].astype(int)] = run.places
    close(run.pixels(torch.from_numpy(starts)), wanted["t10_init_tracks"], TRACKS)
    check(run, run.track(), wanted, "t10_")


def test_plain_tapir(rounds: list[Any]) -> None:
    wanted = golden_arrays("trackers/tapir_plain")
    run = golden.GoldenRun.of(golden.network("tapir"), golden_clip(*SMALL), wanted["queries_tyx"])
    check(run, run.track(), wanted, "")
    starts = torch.stack([each.logits for each in run.starts()], 1)
    close(starts[..., 0], wanted["it_occ"][0], LOGITS)
    close(starts[..., 1], wanted["it_expd"][0], LOGITS)
    for number, (_, xy, logits) in enumerate(rounds[:4], 1):
        close(xy, wanted["it_tracks"][number], TRACKS)
        close(logits[..., 0], wanted["it_occ"][number], LOGITS)
        close(logits[..., 1], wanted["it_expd"][number], LOGITS)


def frame_by_frame(run: golden.GoldenRun, rows: Any, start: int) -> tuple[list[Any], list[Any]]:
    """Estimates and memories of points, from a frame to the last one."""
    rows = torch.as_tensor(rows)
    queries = run.all_features.rows(rows)
    refinements = run.network.iterations * len(run.resolutions)
    memory = (Memory.empty(len(rows), run.places),) * refinements
    estimates, memories = [], []
    for grids in run.grids[start:]:
        estimate, memory = run.network.step(grids, queries, memory, run.resolutions)
        estimates.append(estimate)
        memories.append(memory)
    return estimates, memories


def row_of(memory: Any, block: int, wide: bool) -> Any:
    """What a convolution keeps: ``(N, 2, C)``, the older row first."""
    place = 2 * block + wide
    return torch.cat([memory.older[place], memory.newer[place]], 1)


def test_the_causal_model_frame_by_frame(small: golden.GoldenRun, rounds: list[Any]) -> None:
    """All points from the first frame on, as in the authors' demonstration."""
    wanted, tokens = golden_arrays("trackers/tapir_causal"), []
    mixer = small.network.torch_pips_mixer
    hook = mixer.linear.register_forward_pre_hook(lambda _, x: tokens.append(x[0][4, 0].clone()))
    try:
        estimates, memories = frame_by_frame(small, np.arange(12), 0)
    finally:
        hook.remove()
    together = network_module.Estimate(
        torch.stack([each.xy for each in estimates], 1),
        torch.stack([each.logits for each in estimates], 1),
    )
    check(small, together, wanted, "demo_")
    close(torch.stack(tokens).unflatten(0, (24, 4))[:4], wanted["in_mixer_in"], INNER)
    changes = torch.stack([change[4] for change, _, _ in rounds]).unflatten(0, (24, 4))
    close(changes, wanted["in_mixer_out"], INNER)
    for frame in range(24):
        for number in range(4):
            _, xy, logits = rounds[4 * frame + number]
            close(xy, wanted["demo_it_tracks"][number + 1, :, frame], TRACKS)
            close(logits[:, 0], wanted["demo_it_occ"][number + 1, :, frame], LOGITS)
            close(logits[:, 1], wanted["demo_it_expd"][number + 1, :, frame], LOGITS)
    for when, memory in (("first", memories[0]), ("last", memories[-1])):
        for name, wide in (("state1", False), ("state2", True)):
            some = [torch.stack([row_of(m, b, wide)[4] for b in (0, 5, 11)]) for m in memory]
            close(torch.stack(some), wanted[f"{name}_{when}"], STATES)
            every = torch.stack(
                [torch.stack([row_of(m, b, wide) for b in range(12)]) for m in memory]
            )
            close(every.mean(-1), wanted[f"{name}_{when}_mean"], STATES)
            close(every.square().mean(-1).sqrt(), wanted[f"{name}_{when}_rms"], STATES)


def test_the_causal_model_on_a_whole_clip(small: golden.GoldenRun) -> None:
    mixer = small.network.torch_pips_mixer
    estimate = small.track(pinned=False, mix=mixer.causal)
    check(small, estimate, golden_arrays("trackers/tapir_causal"), "demo_")


def test_the_causal_model_at_two_resolutions(boots: Any, rounds: list[Any]) -> None:
    """Frame by frame it gives the last refinements of the whole clip, whose mean is not theirs."""
    wanted = golden_arrays("trackers/tapir_multi")["sq_queries_tyx"]
    queries = np.concatenate([np.zeros((len(wanted), 1), np.float32), wanted[:, 1:]], 1)
    run = golden.GoldenRun.of(boots, golden_clip(8, 192, 192)[:3], queries, [(96, 96), (192, 192)])
    run.track(pinned=False, mix=boots.torch_pips_mixer.causal)
    _, xy, logits = rounds[-1]
    estimates, _ = frame_by_frame(run, np.arange(len(queries)), 0)
    for frame, estimate in enumerate(estimates):
        close(estimate.xy, xy[:, frame].numpy(), TRACKS)
        close(estimate.logits, logits[:, frame].numpy(), LOGITS)


def test_points_of_the_causal_model_begin_in_their_frames(small: golden.GoldenRun) -> None:
    check_live(small, golden_arrays("trackers/tapir_causal"))


def check_live(run: golden.GoldenRun, wanted: dict[str, np.ndarray]) -> None:
    close(run.all_features.coarse[0], wanted["live_query_lowres"], GRIDS)
    close(run.all_features.fine[0], wanted["live_query_hires"], GRIDS)
    for start in sorted(set(run.queries[:, 0].astype(int))):
        rows = np.flatnonzero(run.queries[:, 0] == start)
        estimates, memories = frame_by_frame(run, rows, start)
        for frame, estimate in enumerate(estimates, start):
            close(run.pixels(estimate.xy), wanted["live_tracks"][rows, frame], TRACKS)
            close(estimate.logits[:, 0], wanted["live_occ"][rows, frame], LOGITS)
            close(estimate.logits[:, 1], wanted["live_expd"][rows, frame], LOGITS)
            seen = golden.visible(estimate.logits)
            assert (seen == wanted["live_visible"][rows, frame]).all()
        if "live_state1_last" in wanted:
            for place, row in enumerate((0, 4, 11)):
                if row in rows:
                    own = int(np.flatnonzero(rows == row)[0])
                    last = torch.stack([row_of(m, 11, False)[own] for m in memories[-1]])
                    close(last, wanted["live_state1_last"][:, place], STATES)


MULTI = [("sq_", (8, 192, 192)), ("rect_", (8, 120, 160)), ("down_", (8, 120, 160))]


@pytest.mark.parametrize(("key", "clip"), MULTI)
def test_refinement_at_several_resolutions(
    boots: Any,
    key: str,
    clip: tuple[int, ...],
    rounds: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted = golden_arrays("trackers/tapir_multi")
    resolutions = [(int(h), int(w)) for h, w in wanted[f"{key}resolutions"][1:]]
    if key == "rect_":
        monkeypatch.setattr(network_module, "correlate", correlate_as_published)
    if key != "down_":  # which was scaled by hand
        assert refinement_resolutions((96, 96), (clip[1], clip[2])) == resolutions
    run = golden.GoldenRun.of(boots, golden_clip(*clip), wanted[f"{key}queries_tyx"], resolutions)
    close(run.all_features.fine[-1], wanted[f"{key}query_hires"], GRIDS)
    check(run, run.track(), wanted, key)
    for number, (_, xy, logits) in enumerate(rounds[:-1], 1):  # the last is left out there
        close(run.pixels(xy), wanted[f"{key}it_tracks"][number], TRACKS)
        close(logits[..., 0], wanted[f"{key}it_occ"][number], LOGITS)
        close(logits[..., 1], wanted[f"{key}it_expd"][number], LOGITS)


def correlate_as_published(features: Any, xy: Any, vectors: Any, radius: int) -> Any:
    """The authors' PyTorch program scales x by width / height on maps that are not square."""
    from sam_pt_ros.trackers.sampling import correlate

    height, width = features.shape[:2]
    found = []
    for y in range(-radius, radius + 1):
        for x in range(-radius, radius + 1):
            corner = (xy + 0.5 + xy.new_tensor([x, y])) * xy.new_tensor([width / height, 1.0])
            found.append(correlate(features, corner - 0.5, vectors, 0))
    return torch.cat(found, 1)


def test_features_at_the_published_resolution(either: Any) -> None:
    wanted = golden_arrays("trackers/tapir_full")
    run = golden.GoldenRun.of(
        either, golden_clip(20, 256, 256)[:1], wanted["queries_tyx"], [(256, 256)]
    )
    fine, coarse, _ = run.grids[0][0].levels
    close(coarse[..., ::16], wanted["in_lowres0"], GRIDS)
    close(fine[..., ::32], wanted["in_hires0"], GRIDS)


@pytest.mark.slow
def test_tracks_at_the_published_resolution(boots: Any) -> None:
    wanted = golden_arrays("trackers/tapir_full")
    run = golden.GoldenRun.of(
        boots, golden_clip(20, 256, 256), wanted["queries_tyx"], [(256, 256)]
    )
    close(run.all_features.coarse[0], wanted["in_query_lowres"], GRIDS)
    close(run.all_features.fine[0], wanted["in_query_hires"], GRIDS)
    starts = torch.stack([each.xy for each in run.starts()], 1).numpy()
    rows = np.arange(len(starts))
    starts[rows, wanted["queries_tyx"][:, 0].astype(int)] = run.places  # pinned
    close(starts, wanted["init_tracks"], TRACKS)
    check(run, run.track(), wanted, "")
    check_live(run, wanted)
