from flask import Flask, redirect, request, url_for
from markupsafe import escape

app = Flask(__name__)


@app.route("/")
def index():
    return "<p>Hello, World!</p>"


@app.route("/hello/<name>")
def hello(name):
    return f"<p>Hello, {escape(name)}!</p>"


@app.route("/projects/")
def projects():
    return ["flask", "werkzeug", "jinja"]


@app.route("/about")
def about():
    return redirect(url_for("index"))


@app.route("/login", methods=["GET", "POST"])
def login():
    return "welcome" if request.method == "POST" else "<form method=post></form>"


if __name__ == "__main__":
    app.run(debug=True)
