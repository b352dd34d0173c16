from celery import Celery, Task
from flask import Flask, render_template_string


def create_app():
    app = Flask(__name__)
    folder = {"data_folder_in": "queue", "data_folder_out": "queue", "store_processed": False}
    app.config.from_mapping(
        CELERY={
            "broker_url": "filesystem://",
            "broker_transport_options": folder,
            "result_backend": "file://results",
            "task_ignore_result": True,
        }
    )
    app.config.from_prefixed_env()
    celery_init_app(app)

    @app.route("/")
    def index():
        return render_template_string("<title>Tasks</title>")

    from . import views

    app.register_blueprint(views.bp)
    return app


def celery_init_app(app):
    class FlaskTask(Task):
        def __call__(self, *args, **kwargs):
            with app.app_context():
                return self.run(*args, **kwargs)

    celery_app = Celery(app.name, task_cls=FlaskTask)
    celery_app.config_from_object(app.config["CELERY"])
    celery_app.set_default()
    app.extensions["celery"] = celery_app
    return celery_app
