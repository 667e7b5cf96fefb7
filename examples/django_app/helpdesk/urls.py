"""The URLs of the project."""

from django.urls import path

from helpdesk import views

urlpatterns = [
    path("webhooks/intercom", views.intercom),
    path("live", views.live),
    path("ready", views.ready),
]
