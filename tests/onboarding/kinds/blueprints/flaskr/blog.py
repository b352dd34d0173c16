from flask import Blueprint, abort, g, redirect, render_template, request, url_for

from flaskr.auth import login_required
from flaskr.db import get_db

bp = Blueprint("blog", __name__)


@bp.route("/")
def index():
    posts = get_db().execute("SELECT * FROM post ORDER BY id DESC").fetchall()
    return render_template("index.html", posts=posts)


@bp.route("/create", methods=("GET", "POST"))
@login_required
def create():
    if request.method == "POST":
        values = (g.user["id"], request.form["title"], request.form["body"])
        get_db().execute("INSERT INTO post (author_id, title, body) VALUES (?, ?, ?)", values)
        get_db().commit()
        return redirect(url_for("blog.index"))
    return render_template("form.html", title="New post")


@bp.route("/<int:id>")
def show(id):
    post = get_db().execute("SELECT * FROM post WHERE id = ?", (id,)).fetchone() or abort(404)
    return render_template("index.html", posts=[post])
