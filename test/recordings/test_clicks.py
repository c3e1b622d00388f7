import pytest

from sam_pt_ros.errors import UserError
from sam_pt_ros.recordings.clicks import Click, check_clicks, parse_click


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3,4", (3, 4, 1, 1)),
        ("3.5, 4.25", (3.5, 4.25, 1, 1)),
        ("3,4,-", (3, 4, 0, 1)),
        ("3,4,+,2", (3, 4, 1, 2)),
        ("0,0,-,65535", (0, 0, 0, 65535)),
    ],
)
def test_clicks_are_understood(text, expected):
    click = parse_click(text)
    assert (click.x, click.y, click.label, click.object_id) == expected


@pytest.mark.parametrize(
    "text", ["", "3", "3;4", "a,b", "3,4,5", "3,4,+,x", "3,4,+,2,1", "3,4,+,0", "nan,3", "3,inf"]
)
def test_what_is_no_click_is_refused_in_one_line(text):
    with pytest.raises(UserError) as error:
        parse_click(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("xy", [(-0.6, 5), (100, 5), (5, 50), (5, -1)])
def test_clicks_outside_are_refused_with_the_image_size(xy):
    with pytest.raises(UserError, match="100x50"):
        check_clicks([Click(*xy)], 100, 50)


def test_an_object_needs_a_positive_click():
    clicks = [Click(1, 1), Click(2, 2, label=0, object_id=2)]
    with pytest.raises(UserError, match="object 2 has no positive click"):
        check_clicks(clicks, 100, 50)


def test_scaling_keeps_the_place_in_the_image():
    click = Click(0, 0).scaled(0.5, 0.5)
    assert (click.x, click.y) == (-0.25, -0.25)  # the middle of the top-left quarter of a pixel
    corner = Click(99, 49).scaled(2, 2)
    assert (corner.x, corner.y) == (198.5, 98.5)
