"""Reading a page's form as a browser would."""

from local.demo.forms import post_forms

PAGE = """<form method="get" action="/search"><input name="q"></form>
<form method="post" action="">
 <input type="hidden" name="csrf" value="c&amp;1"><input type="hidden" name="digest" value="d">
 <input type="radio" name="decision" value="approve"><input type="radio" name="decision" value="reject">
 <textarea name="comment"></textarea><input name="code" inputmode="numeric">
 <button>Send</button></form>"""


def test_hidden_fields_are_sent_as_they_are_and_the_rest_waits_for_a_person() -> None:
    """No choice is made that the page did not make."""
    (form,) = post_forms(PAGE)
    assert form.fields == {"csrf": "c&1", "digest": "d"}
    assert form.names == {"csrf", "digest", "decision", "comment", "code"}


def test_a_preselected_choice_counts_as_a_browser_counts_it() -> None:
    """`checked` is sent unless the person changes it."""
    page = '<form method="POST" action="/x"><input type="radio" name="decision" value="reject" checked></form>'
    (form,) = post_forms(page)
    assert (form.action, form.fields) == ("/x", {"decision": "reject"})
