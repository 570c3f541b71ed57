"""How far a training is, where no terminal shows a bar."""

from ungray.system import progress


def test_within_a_long_epoch_a_line_a_minute_says_how_far_it_is(trained, monkeypatch, capsys):
    minutes = iter(range(10**6))
    monkeypatch.setattr(progress, "monotonic", lambda: 60.0 * next(minutes))
    trained(epochs=1, batch_size=4)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("train, epoch 1: ")]
    assert len(lines) > 2
    assert lines[0].startswith("train, epoch 1: photo 4 of ")
    assert lines[0].endswith(" min left")


def test_limited_by_minutes_no_end_is_shown_before_the_number_of_steps_is_known(trained, monkeypatch, capsys):
    minutes = iter(range(10**6))
    monkeypatch.setattr(progress, "monotonic", lambda: 60.0 * next(minutes))
    trained(epochs=1000, minutes=0.02, schedule="stable", batch_size=4, grid_every=1000)
    out, lines = capsys.readouterr()
    lines = [line for line in lines.splitlines() if line.startswith("train, epoch 1: ")]
    assert " of " not in lines[0]
    assert " left" not in lines[0]
    assert "/1000: " not in out
    assert " min left\n" in out, "at the end of the last epoch"
